// Reads every column of the vault in both formats: one line each, format, column and what the driver made of it.
'use strict';
const { Client } = require('pg');

async function main() {
  for (const binary of [false, true]) {
    const client = new Client({ binary });
    await client.connect();
    const { fields } = await client.query('select * from vault where id = 0');
    for (const { name } of fields) {
      const { rows } = await client.query(`select ${name} from vault where id = $1`, [7]);
      const value = rows[0][name];
      const text = value instanceof Buffer ? value.toString() : JSON.stringify(value);
      console.log([binary ? 'binary' : 'text', name, value === null ? 'null' : typeof value, text].join('\t'));
    }
    await client.end();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
