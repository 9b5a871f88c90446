"""The application's statements: a fixed set for every table, view and function of a schema, with the column lists that they had
before `prepare` (H47, H48, H49).

What an application has made of a table's columns (an archive, an audit table, a function's result) is made here in the statement's
own transaction, by the lists of before `prepare`: so a schema of tests/fixtures stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

from tests.witness.application import Application, AppTable, Function, Session
from tests.witness.values import RowValues, first_row, other_value, row_values

ARCHIVE = sql.Identifier("public", "witness_archive")
ROWS = sql.Identifier("public", "witness_rows")

AUDIT = sql.SQL("""
CREATE TABLE public.witness_audit ({columns}, op text, whole text, document text);
CREATE FUNCTION public.witness_audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $witness$ BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO public.witness_audit SELECT OLD.*, TG_OP || ' old', OLD::text, to_jsonb(OLD)::text;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO public.witness_audit SELECT NEW.*, TG_OP || ' new', NEW::text, to_jsonb(NEW)::text;
    END IF;
    RETURN NULL;
END $witness$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION public.witness_audit();
""")
GUARD = sql.SQL("""
CREATE FUNCTION public.witness_guard() RETURNS trigger LANGUAGE plpgsql AS $witness$ BEGIN
    RAISE EXCEPTION 'not allowed: from % to %', OLD, NEW;
END $witness$;
CREATE TRIGGER zz_guard BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION public.witness_guard();
""")
RETURNS = sql.SQL("""
CREATE FUNCTION {name}() RETURNS SETOF {table} LANGUAGE plpgsql AS $witness$ DECLARE r {table}; BEGIN
    RETURN QUERY SELECT {columns} FROM {table};
    FOR r IN SELECT {columns} FROM {table} LOOP RETURN NEXT r; END LOOP;
END $witness$;
CREATE FUNCTION {name}(bigint) RETURNS SETOF {table} LANGUAGE sql AS $witness$ SELECT {columns} FROM {table} $witness$;
""")
# Their bodies are texts: nothing in the catalog depends on the table by them. The session keeps their plans.
CACHED = sql.SQL("""
SET ROLE {role};
CREATE FUNCTION pg_temp.{name}() RETURNS SETOF text LANGUAGE plpgsql AS $witness$ DECLARE r record; BEGIN
    FOR r IN SELECT * FROM {table} LOOP RETURN NEXT r::text; RETURN NEXT to_jsonb(r)::text; END LOOP;
END $witness$;
RESET ROLE
""")


@dataclass(frozen=True)
class AppStatement:
    """`setup` and `look` run as superuser in the statement's transaction, before it and after it. `data`: of a COPY FROM STDIN."""

    kind: str
    table: str
    role: str
    text: str
    setup: str = ""
    look: str = ""
    data: bytes | None = None
    settings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"[{self.kind}] {self.table} as {self.role}: {self.text}" + (
            f" with {self.settings[0]} …" if self.settings else ""
        )


class Writer:
    """Makes the statements. `session` gives the encoding of texts; the statements are run elsewhere."""

    def __init__(self, session: Session, app: Application) -> None:
        self.session, self.app = session, app
        self.prepared: dict[str, str] = {}  # by name: what a session does once, before `prepare`

    def statements(self, tables: list[AppTable], views: list[AppTable], calls: list[Function]) -> list[AppStatement]:
        """Of `tables` reads and writes, of those alone that cannot write to another table by a foreign key."""
        out: list[AppStatement] = []
        reaching = self.app.reaching(tables)
        for number, t in enumerate(tables):
            values = row_values(self.session, t) if t.oid not in reaching else None
            out += [*self._reads(t), *self._whole_rows(t), *self._kept(t, values, number)]
            if values is not None:
                out += [*self._writes(t, values), *self._audited(t, values), *self._archived(t, values)]
        for v in views:
            out += self._reads(v)
        for f in calls:
            out.append(self._call(f))
        return out

    def text(self, query: str, **parts: sql.Composable) -> str:
        return sql.SQL(query).format(**parts).as_string(self.session)

    def _reads(self, t: AppTable) -> Iterator[AppStatement]:
        """As everybody who was granted something, without settings and with those that policies ask for."""
        select = self.text("SELECT * FROM {t}", t=t.sql)
        yield AppStatement("read", str(t), t.owner, select)
        for role in t.roles:
            yield AppStatement("read", str(t), role, select, settings=self.app.settings)

    def _whole_rows(self, t: AppTable) -> Iterator[AppStatement]:
        columns = sql.SQL(", ").join(c.ident for c in t.columns)
        if not t.columns:
            return
        whole = "SELECT t, to_jsonb(t), row_to_json(t), t IS NULL, hash_record(t) IS NULL FROM {t} t"
        yield AppStatement("whole row", str(t), t.owner, self.text(whole, t=t.sql))
        union = self.text("SELECT * FROM {t} UNION ALL SELECT * FROM {a}", t=t.sql, a=ARCHIVE)
        yield AppStatement("union", str(t), t.owner, union, setup=self._archive(t))
        returns = RETURNS.format(name=ROWS, table=t.sql, columns=columns).as_string(self.session)
        for call in ("SELECT * FROM public.witness_rows()", "SELECT * FROM public.witness_rows(1)"):
            yield AppStatement("returns setof", str(t), t.owner, call, setup=returns)
        if t.kind == "r":
            yield AppStatement("copy to", str(t), t.owner, self.text("COPY {t} TO STDOUT", t=t.sql))

    def _archive(self, t: AppTable) -> str:
        return self.text("CREATE TABLE {a} ({columns})", a=ARCHIVE, columns=self._columns(t)) + self.text(
            "; GRANT ALL ON {a} TO PUBLIC;", a=ARCHIVE
        )

    @staticmethod
    def _columns(t: AppTable) -> sql.Composed:
        return sql.SQL(", ").join([sql.SQL("{} {}").format(c.ident, sql.SQL(c.type)) for c in t.columns])

    def _writes(self, t: AppTable, values: RowValues) -> Iterator[AppStatement]:
        """INSERT, UPDATE of every column, DELETE, COPY, TRUNCATE, without a column list where there need not be one."""
        own, name = t.sql, str(t)
        insert = self.text("INSERT INTO {t} VALUES ({v}) RETURNING *", t=own, v=values.literals(values.fresh))
        again = self.text(
            "INSERT INTO {t} VALUES ({v}) ON CONFLICT DO NOTHING RETURNING *", t=own, v=values.literals(values.first)
        )
        listed, given = values.assigned(values.fresh, defaults=True)
        delete = self.text("DELETE FROM {t} WHERE {first} RETURNING *", t=own, first=first_row(t))
        for role in (t.owner, *t.roles):
            yield AppStatement("insert", name, role, insert, settings=self.app.settings)
            yield AppStatement("delete", name, role, delete, settings=self.app.settings)
        if list(given):
            number = self.text("INSERT INTO {t} ({l}) SELECT {v} RETURNING *", t=own, l=listed, v=given)
            for role in (t.owner, *t.roles):
                yield AppStatement("lastval", name, role, number, settings=self.app.settings)
        yield AppStatement("on conflict", name, t.owner, again)
        yield AppStatement("insert again", name, t.owner, f"{delete}; {insert}")
        yield AppStatement("truncate", name, t.owner, self.text("TRUNCATE {t} CASCADE", t=own))
        if t.oid not in self.app.not_enforced:
            yield AppStatement("truncate", name, t.owner, self.text("TRUNCATE {t}", t=own))
        if t.written:
            copy = self.text("COPY {t} FROM STDIN", t=own)
            yield AppStatement("copy from", name, t.owner, copy, data=values.copied(values.fresh))
        replica = "SET session_replication_role = replica"
        for c in t.written:
            for value in (other_value(t, c), *([sql.SQL("NULL")] if c.foreign and not c.not_null else [])):
                update = self.text("UPDATE {t} SET {c} = {v} WHERE {f} RETURNING *", t=own, c=c.ident, v=value, f=first_row(t))
                yield AppStatement("update", name, t.owner, update)
        update = self.text("UPDATE {t} SET {all} WHERE {f} RETURNING *", t=own, all=self._itself(t), f=first_row(t))
        if t.written:
            for role in (t.owner, *t.roles):
                yield AppStatement("update of nothing", name, role, update, settings=self.app.settings)
        for statement in (insert, update, delete):
            yield AppStatement("replica", name, t.owner, statement, setup=f"{replica};".replace("SET ", "SET LOCAL "))

    @staticmethod
    def _itself(t: AppTable) -> sql.Composed:
        columns = [c.ident for c in t.written if c.identity != "a"]
        return sql.SQL(", ").join([sql.SQL("{0} = {0}").format(c) for c in columns])

    def _audited(self, t: AppTable, values: RowValues) -> Iterator[AppStatement]:
        """Under a trigger that keeps NEW.* and OLD.* as rows, texts and documents, and under one that allows no UPDATE."""
        if not t.written:
            return
        setup = AUDIT.format(columns=self._columns(t), table=t.sql).as_string(self.session)
        insert = self.text("INSERT INTO {t} VALUES ({v})", t=t.sql, v=values.literals(values.fresh))
        update = self.text("UPDATE {t} SET {all} WHERE {f}", t=t.sql, all=self._itself(t), f=first_row(t))
        delete = self.text("DELETE FROM {t} WHERE {f}", t=t.sql, f=first_row(t))
        for statement in (insert, update, delete, f"{insert}; DELETE FROM {t.sql.as_string(self.session)}"):
            yield AppStatement("audit", str(t), t.owner, statement, setup, "SELECT * FROM public.witness_audit")
        guard = GUARD.format(table=t.sql).as_string(self.session)
        yield AppStatement("guard", str(t), t.owner, update, guard)
        yield AppStatement("guard", str(t), t.owner, insert, guard)

    def _archived(self, t: AppTable, values: RowValues) -> Iterator[AppStatement]:
        if not t.written:
            return
        insert = self.text("INSERT INTO {t} VALUES ({v})", t=t.sql, v=values.literals(values.fresh))
        move = self.text(
            "WITH gone AS (DELETE FROM {t} WHERE {f} RETURNING *) INSERT INTO {a} SELECT * FROM gone",
            t=t.sql, f=first_row(t), a=ARCHIVE,
        )  # fmt: skip
        back = self.text("INSERT INTO {t} OVERRIDING SYSTEM VALUE SELECT * FROM {a}", t=t.sql, a=ARCHIVE)
        look = self.text("SELECT * FROM {a}", a=ARCHIVE)
        everything = self.text(
            "WITH gone AS (DELETE FROM {t} RETURNING *) INSERT INTO {a} SELECT * FROM gone", t=t.sql, a=ARCHIVE
        )
        for statement in (move, everything, f"{move}; {back}", f"{insert}; {everything}"):
            yield AppStatement("archive", str(t), t.owner, statement, self._archive(t), look)

    def _kept(self, t: AppTable, values: RowValues | None, number: int) -> Iterator[AppStatement]:
        """Prepared once, and executed in the same session in every state: a changed result type is 0A000."""
        select = self.text("SELECT * FROM {t}", t=t.sql)
        queries = {f"select_{number}": select, f"row_{number}": self.text("SELECT t FROM {t} t", t=t.sql)}
        if values is not None and t.written:
            queries |= {
                f"insert_{number}": self.text(
                    "INSERT INTO {t} VALUES ({v}) RETURNING *", t=t.sql, v=values.literals(values.fresh)
                ),
                f"update_{number}": self.text(
                    "UPDATE {t} SET {all} WHERE {f} RETURNING *", t=t.sql, all=self._itself(t), f=first_row(t)
                ),
                f"delete_{number}": self.text("DELETE FROM {t} WHERE {f} RETURNING *", t=t.sql, f=first_row(t)),
            }
        for name, query in queries.items():
            self.prepared[name] = f"PREPARE {name} AS {query}"
            yield AppStatement("prepared", str(t), t.owner, f"EXECUTE {name}")
        function = sql.Identifier(f"cached_{number}")
        self.prepared[f"cached_{number}"] = CACHED.format(name=function, table=t.sql, role=sql.Identifier(t.owner)).as_string(
            self.session
        )
        yield AppStatement("kept plan", str(t), t.owner, f"SELECT pg_temp.cached_{number}()")

    def _call(self, f: Function) -> AppStatement:
        arguments = "1" if f.arguments else ""
        text = self.text("SELECT * FROM {f}({a})", f=sql.Identifier(f.schema, f.name), a=sql.SQL(arguments))
        return AppStatement("function", f"{f.schema}.{f.name}", "app", text)
