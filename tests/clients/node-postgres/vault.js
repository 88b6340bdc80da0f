// Reads every column of the vault in text: one line each, format, column and what the driver made of it.
// Its binary mode reads every value as UTF-8 first, which spoils integers with or without a gate.
'use strict';
const { Client } = require('pg');

async function main() {
  const client = new Client();
  await client.connect();
  const { fields } = await client.query('select * from vault where id = 0');
  for (const { name } of fields) {
    const { rows } = await client.query(`select ${name} from vault where id = $1`, [7]);
    const value = rows[0][name];
    const text = value instanceof Buffer ? value.toString() : JSON.stringify(value);
    console.log(['text', name, value === null ? 'null' : typeof value, text].join('\t'));
  }
  await client.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
