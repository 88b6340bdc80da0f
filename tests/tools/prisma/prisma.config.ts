// Prisma's schema engine as WebAssembly, which comes with the package; its binaries come from a host of their own.
import { PrismaPg } from "@prisma/adapter-pg";
import pg from "pg";
import { defineConfig } from "prisma/config";

const CHAR = 18;
const TEXT = 25;

// The adapter does not know the type "char", which the catalogue is full of.
const addFields = pg.Result.prototype.addFields;
pg.Result.prototype.addFields = function (fields) {
  return addFields.call(this, fields.map((field) => field.dataTypeID === CHAR ? { ...field, dataTypeID: TEXT } : field));
};

export default defineConfig({
  experimental: { adapter: true },
  engine: "js",
  schema: "schema.prisma",
  migrations: { path: "migrations" },
  adapter: async () => new PrismaPg({}),
});
