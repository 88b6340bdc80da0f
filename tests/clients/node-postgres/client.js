// node-postgres, with its COPY companion pg-copy-streams.
'use strict';
const { Client } = require('pg');
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const copy = require('pg-copy-streams');

const SLOW = 'select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b';

async function refused(client, statement) {
  try {
    await client.query(statement);
  } catch (error) {
    return error.code;
  }
  return 'nothing';
}

async function value(client, ...query) {
  const { rows } = await client.query(...query);
  return Object.values(rows[0])[0];
}

async function cancelled(client) {
  const { Query } = require('pg');
  const running = new Query(SLOW);
  const ended = new Promise((resolve) => {
    running.on('error', (error) => resolve(error.code));
    running.on('end', () => resolve('nothing'));
  });
  client.query(running);
  setTimeout(() => new Client().cancel(client, running), 500);
  return ended;
}

async function main() {
  const client = new Client();
  await client.connect();
  console.log('connect', await value(client, 'select current_database()'));
  const { rows } = await client.query('select id, name from customers order by id limit 3');
  console.log('query', rows.map((row) => `${row.id}:${row.name}`).join(' '));
  console.log('email', await value(client, 'select email from customers where id = $1', [1]));

  const prepared = { name: 'by-id', text: 'select name from customers where id = $1' };
  const first = await value(client, { ...prepared, values: [1] });
  console.log('prepared', first, await value(client, { ...prepared, values: [2] }));

  await client.query('begin');
  await client.query("insert into orders (customer_id, item, amount) values (1, 'rolled back', 1)");
  await client.query('rollback');
  const before = await value(client, 'select count(*)::int from orders');
  await client.query('begin');
  await client.query('insert into orders (customer_id, item, amount) values ($1, $2, $3)', [1, 'matrix', 1]);
  await client.query('commit');
  console.log('transaction', before, await value(client, 'select count(*)::int from orders'));
  await client.query("delete from orders where item = 'matrix'");

  await pipeline(Readable.from(['1\tone\n2\ttwo\n', '3\tthree\n']), client.query(copy.from('copy imports from stdin')));
  const copied = await value(client, 'select count(*)::int from imports');
  let out = '';
  for await (const chunk of client.query(copy.to('copy imports to stdout'))) out += chunk;
  console.log('copy', copied, out.trim().split('\n').length);
  await client.query('delete from imports where id > 0');

  console.log('cancel', await cancelled(client));
  console.log('denial', await refused(client, 'drop database shop'), await value(client, 'select 1'));

  await client.query('begin');
  const denied = await refused(client, "truncate salaries");
  const aborted = await refused(client, 'select 1');
  await client.query('rollback');
  console.log('denial-in-transaction', denied, aborted, await value(client, 'select 1'));
  await client.end();
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
