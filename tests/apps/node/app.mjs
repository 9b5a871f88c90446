// Users and notes by one library: node app.mjs pg|knex|typeorm|prisma, with DSN and RELEASE (integer, compat, uuid).
// JavaScript has the same type for both keys: node-postgres gives a bigint and a uuid as strings. Only the names differ.
import { randomUUID } from 'node:crypto';
import { serve } from './traffic.mjs';

const { DSN, RELEASE } = process.env;
const [KEY, USER] = RELEASE === 'compat' ? ['uuid_id', 'user_uuid_id'] : ['id', 'user_id'];
const STAY = 50;

function assert(condition, what) {
  if (!condition) throw new Error(what);
}

// Each library has: byEmail(email) → key, byKey(key) → email, add(email) → key, note(key, text), notes(key) → texts, remove(key), close().
const libraries = {
  async pg() {
    const { default: pg } = await import('pg');
    const pool = new pg.Pool({ connectionString: DSN, max: 3 });
    // Named: prepared once for each connection. `SELECT *`, as many write it.
    const run = async (name, text, values) => (await pool.query(process.env.UNNAMED ? { text, values } : { name, text, values })).rows;
    return {
      byEmail: async (email) => (await run('by_email', 'SELECT * FROM users WHERE email = $1', [email]))[0][KEY],
      byKey: async (key) => (await run('by_key', `SELECT email FROM users WHERE ${KEY} = $1`, [key]))[0]?.email,
      add: async (email) => (await run('add', `INSERT INTO users (email) VALUES ($1) RETURNING ${KEY}`, [email]))[0][KEY],
      note: (key, text) => run('note', `INSERT INTO notes (${USER}, text) VALUES ($1, $2)`, [key, text]),
      notes: async (key) => (await run('notes', `SELECT text FROM notes WHERE ${USER} = $1 ORDER BY id DESC LIMIT 5`, [key])).map((r) => r.text),
      remove: (key) => run('remove', `DELETE FROM users WHERE ${KEY} = $1`, [key]),
      close: () => pool.end(),
    };
  },

  async knex() {
    const { default: makeKnex } = await import('knex');
    const knex = makeKnex({ client: 'pg', connection: DSN, pool: { min: 0, max: 3 } });
    return {
      byEmail: async (email) => (await knex('users').where({ email }).first())[KEY],
      byKey: async (key) => (await knex('users').where({ [KEY]: key }).first())?.email,
      add: async (email) => (await knex('users').insert({ email }).returning(KEY))[0][KEY],
      note: (key, text) => knex('notes').insert({ [USER]: key, text }),
      notes: (key) => knex('notes').where({ [USER]: key }).orderBy('id', 'desc').limit(5).pluck('text'),
      remove: (key) => knex.transaction((t) => t('users').where({ [KEY]: key }).delete()),
      close: () => knex.destroy(),
    };
  },

  async typeorm() {
    const { DataSource, EntitySchema } = await import('typeorm');
    const type = RELEASE === 'integer' ? 'bigint' : 'uuid';
    const User = new EntitySchema({
      name: 'User', tableName: 'users',
      columns: { key: { name: KEY, type, primary: true, generated: RELEASE === 'integer' ? 'increment' : 'uuid' }, email: { type: 'text' } },
    });
    const Note = new EntitySchema({
      name: 'Note', tableName: 'notes',
      columns: { id: { type: 'bigint', primary: true, generated: 'increment' }, text: { type: 'text' } },
      relations: { user: { type: 'many-to-one', target: 'User', joinColumn: { name: USER, referencedColumnName: 'key' } } },
    });
    const source = await new DataSource({ type: 'postgres', url: DSN, entities: [User, Note], poolSize: 3, installExtensions: false }).initialize();
    const [users, notes] = [source.getRepository(User), source.getRepository(Note)];
    return {
      byEmail: async (email) => (await users.findOneByOrFail({ email })).key,
      byKey: async (key) => (await users.findOneBy({ key }))?.email,
      add: async (email) => (await users.save({ email })).key,
      note: (key, text) => notes.save({ text, user: { key } }),
      notes: async (key) => (await notes.find({ where: { user: { key } }, order: { id: 'DESC' }, take: 5 })).map((n) => n.text),
      remove: (key) => users.delete({ key }),
      close: () => source.destroy(),
    };
  },

  async prisma() {
    const { PrismaClient } = await import(`./${RELEASE}/client.js`);
    const { PrismaPg } = await import('@prisma/adapter-pg');
    const db = new PrismaClient({ adapter: new PrismaPg({ connectionString: DSN, max: 3 }) });
    return {
      byEmail: async (email) => (await db.user.findUniqueOrThrow({ where: { email } })).key,
      byKey: async (key) => (await db.user.findUnique({ where: { key } }))?.email,
      add: async (email) => (await db.user.create({ data: { email } })).key,
      note: (userKey, text) => db.note.create({ data: { userKey, text } }),
      notes: async (key) => (await db.note.findMany({ where: { user: { key } }, orderBy: { id: 'desc' }, take: 5 })).map((n) => n.text),
      remove: (key) => db.user.delete({ where: { key } }),
      close: () => db.$disconnect(),
    };
  },
};

const library = await libraries[process.argv[2]]();
const somebody = () => `stays${1 + Math.floor(Math.random() * STAY)}@example.org`;

async function look() {
  const email = somebody();
  const key = await library.byEmail(email);
  assert((await library.byKey(key)) === email, 'another user');
}

async function write() {
  const [key, text] = [await library.byEmail(somebody()), randomUUID()];
  await library.note(key, text);
  assert((await library.notes(key)).length > 0, 'no note');
}

async function comeAndGo() {
  const email = `${randomUUID()}@example.org`;
  const key = await library.add(email);
  await library.note(key, 'hello');
  assert((await library.notes(key)).join() === 'hello', 'not the note');
  await library.remove(key);
  assert((await library.byKey(key)) === undefined, 'still there');
}

await serve([look, write, comeAndGo], () => library.close());
