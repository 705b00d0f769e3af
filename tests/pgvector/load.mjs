// Runs an exported .sql in PGlite (PostgreSQL in WebAssembly) with pgvector; prints what is in it.
// node load.mjs FOLDER TABLE ROW  →  {rows: [...], nearest: [...]}
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";

const [folder, table, row] = process.argv.slice(2);
const db = new PGlite({ extensions: { vector } });
// psql's \copy is the one line that the server itself does not know.
for (const part of readFileSync(join(folder, `${table}.sql`), "utf8").split(/^(\\copy .*)$/m)) {
  const copy = part.match(/^\\copy (\w+) FROM '(.*)'$/);
  if (copy) {
    const blob = new Blob([readFileSync(join(folder, copy[2]))]);
    await db.query(`COPY ${copy[1]} FROM '/dev/blob'`, [], { blob });
  } else {
    await db.exec(part);
  }
}
const rows = (
  await db.query(`SELECT row_id, node_id, id, label, name, embedding::text FROM ${table} ORDER BY row_id`)
).rows;
const nearest = (
  await db.query(
    `SELECT row_id FROM ${table} ORDER BY embedding <=> (SELECT embedding FROM ${table} WHERE row_id = ${Number(row)}) LIMIT 3`,
  )
).rows;
console.log(JSON.stringify({ rows, nearest }));
