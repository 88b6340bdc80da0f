// A library in Prisma, after its migrations. Prints one line a step.
'use strict';
const { PrismaPg } = require('@prisma/adapter-pg');
const { Prisma, PrismaClient } = require('./generated');

const prisma = new PrismaClient({ adapter: new PrismaPg({}) });
const say = (step, ...values) =>
  console.log(step, ...values.map((value) => JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}n` : part))));

async function main() {
  const ada = await prisma.author.create({
    data: {
      name: 'Ada',
      books: {
        create: [
          { title: 'Notes', price: '12.50', tags: ['maths', 'engines'], facts: { pages: 20 }, cover: Buffer.from([0, 255]),
            subjects: { create: [{ name: 'computing' }, { name: 'poetry' }] } },
          { title: 'Letters', price: 8, sold: 9007199254740993n, subjects: { connectOrCreate:
            { where: { name: 'poetry' }, create: { name: 'poetry' } } } },
        ],
      },
    },
    include: { books: { orderBy: { id: 'asc' }, include: { subjects: { orderBy: { name: 'asc' } } } } },
  });
  const [notes, letters] = ada.books;
  say('created', ada.name, notes.price, notes.cover, letters.sold, ada.books.map((book) => book.subjects.map(({ name }) => name)));

  const dear = await prisma.book.findMany({
    where: { price: { gt: 10 }, tags: { has: 'maths' }, facts: { path: ['pages'], gt: 5 }, author: { name: { contains: 'ADA', mode: 'insensitive' } } },
    select: { title: true, author: { select: { name: true, _count: { select: { books: true } } } } },
  });
  say('filtered', dear);
  say('unique', await prisma.author.findUnique({ where: { name: 'Ada' } }), await prisma.author.findFirst({ where: { name: 'Bob' } }));
  say('some', await prisma.subject.count({ where: { books: { some: { state: 'here' } } } }), await prisma.author.count({ where: { books: { none: { tags: { isEmpty: true } } } } }));

  await prisma.book.updateMany({ where: { authorId: ada.id }, data: { price: { multiply: 2 } } });
  const lent = await prisma.book.update({ where: { id: notes.id }, data: { state: 'lent', tags: { push: 'lent' }, sold: { increment: 1 } } });
  say('updated', lent.price, lent.state, lent.tags, lent.sold);
  const bob = () => prisma.author.upsert({ where: { name: 'Bob' }, create: { name: 'Bob' }, update: { name: 'Robert' } });
  say('upserted', (await bob()).name, (await bob()).name);

  const made = await prisma.book.createMany({
    data: Array.from({ length: 250 }, (_, number) => ({ title: `volume ${number}`, price: number, authorId: ada.id })),
  });
  const returned = await prisma.book.createManyAndReturn({ data: [{ title: 'late', price: 1, authorId: ada.id }], select: { title: true, state: true } });
  say('many', made.count, returned);
  const page = await prisma.book.findMany({ where: { authorId: ada.id }, orderBy: { id: 'desc' }, cursor: { id: notes.id + 100 }, skip: 1, take: 2 });
  say('paged', page.map(({ title }) => title));
  const { _sum, _max, _count } = await prisma.book.aggregate({ _sum: { price: true }, _max: { title: true }, _count: true, where: { state: 'here' } });
  say('aggregated', _sum, _max, _count);
  const groups = await prisma.book.groupBy({ by: ['state'], _count: { _all: true }, having: { price: { _avg: { gt: 1 } } }, orderBy: { state: 'asc' } });
  say('grouped', groups);

  const moved = await prisma.$transaction(async (inside) => {
    const book = await inside.book.update({ where: { id: letters.id }, data: { price: { decrement: 1 } } });
    await inside.author.create({ data: { name: 'Carl', books: { connect: { id: book.id } } } });
    return book.price;
  }, { isolationLevel: Prisma.TransactionIsolationLevel.Serializable });
  say('transaction', moved);
  await prisma.$transaction(async (inside) => {
    // Without a filter it asks WHERE 1=1, which the shipped policy takes for no WHERE clause.
    await inside.author.deleteMany({ where: { id: { gt: 0 } } });
    throw new Error('rolled back');
  }).catch((error) => say('undone', error.message));
  const [first, second] = await prisma.$transaction([prisma.author.count(), prisma.book.count({ where: { authorId: ada.id } })]);
  say('batch', first, second);
  await prisma.author.create({ data: { name: 'Ada' } }).catch((error) => say('duplicate', error.code));
  await prisma.book.create({ data: { title: 'no author', price: 1, authorId: -1 } }).catch((error) => say('dangling', error.code));

  const title = 'volume 1%';
  say('raw', await prisma.$queryRaw`select title, price, tags, added is null as "lacks" from "Book" where title like ${title} order by id limit 2`);
  say('executed', await prisma.$executeRaw`update "Book" set facts = jsonb_build_object('at', ${7}::int) where id in (${Prisma.join([notes.id, letters.id])})`);
  say('json', await prisma.book.findMany({ where: { facts: { equals: { at: 7 } } }, select: { title: true, facts: true }, orderBy: { id: 'asc' } }));
  await prisma.author.delete({ where: { id: ada.id } });
  say('left', await prisma.book.count(), await prisma.author.findMany({ orderBy: { name: 'asc' }, select: { name: true } }));
}

main()
  .catch((error) => {
    console.error(error.code, error.message.split("\n").at(-1));
    process.exitCode = 1;
  })
  .finally(() => prisma.$disconnect());
