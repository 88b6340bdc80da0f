//! Statements, and the ways in which they are asked.

use super::{Generator, Item, Query, Question, Value, expression::Place};
use crate::{
    message::Script,
    world::{CUSTOMERS, Grade, Kind, RELATIONS},
};

impl Generator {
    /// A question of any kind.
    pub(super) fn any_question(&mut self) -> Question {
        match self.number(0..100) {
            0..62 => self.read(),
            62..72 => self.copy(),
            72..78 => self.cursor(),
            78..83 => self.prepared(),
            83..86 => self.write(),
            86..88 => self.modifying(),
            88..93 => self.store(),
            _ => self.channel(),
        }
    }

    fn top(&mut self) -> Query {
        let depth = self.depth();
        self.query(depth, &[], None)
    }

    /// A query by either protocol, in either format.
    fn read(&mut self) -> Question {
        let sql = self.top().sql;
        let script = match self.number(0..10) {
            0..4 => Script::default().query(&sql),
            4 => Script::default().query("begin").query(&sql).query("rollback"),
            _ => {
                let (is_binary, is_described) = (self.chance(50), self.chance(60));
                let at_once = if self.chance(15) { 2 } else { 0 };
                Script::default().extended(&sql, is_binary, is_described, at_once)
            }
        };
        self.ask(script, sql)
    }

    fn copy(&mut self) -> Question {
        let format = self.word(&["", "", "", " (format csv)", " (format binary)", " with (null 'x')", " csv header"]);
        let sql = match self.number(0..4) {
            0 => {
                let relation = self.pick(RELATIONS).map_or("orders", |relation| relation.name);
                format!("copy {relation} to stdout{format}")
            }
            _ => format!("copy ({}) to stdout{format}", self.top().sql),
        };
        self.simple(&[sql])
    }

    fn cursor(&mut self) -> Question {
        let (kind, format) = (self.word(&["", "scroll ", "no scroll "]), self.word(&["", "binary "]));
        let declare = format!("declare c {format}{kind}cursor for {}", self.top().sql);
        let fetch =
            self.word(&["fetch all from c", "fetch 3 from c", "fetch next from c", "move 1 from c; fetch 2 from c"]);
        self.simple(&["begin".to_owned(), declare, fetch.to_owned(), "rollback".to_owned()])
    }

    fn prepared(&mut self) -> Question {
        let prepare = format!("prepare p as {}", self.top().sql);
        let execute = self.word(&[
            "execute p",
            "explain (analyze, costs off, timing off, summary off) execute p",
            "create temp table x as execute p",
        ]);
        self.simple(&[prepare, execute.to_owned(), "deallocate p".to_owned(), "drop table if exists x".to_owned()])
    }

    /// INSERT, UPDATE and DELETE that answer with rows; undone.
    fn write(&mut self) -> Question {
        let (sql, _) = self.returning();
        self.simple(&["begin".to_owned(), sql, "rollback".to_owned()])
    }

    /// Puts what a query gives somewhere else, and reads it there.
    fn store(&mut self) -> Question {
        let query = self.query(1, &[], Some(&[Kind::Int, Kind::Text, Kind::Number, Kind::Date, Kind::Json])).sql;
        let (store, read) = match self.number(0..7) {
            0 => (format!("create temp table kept as {query}"), "select * from kept"),
            1 => (format!("create table kept (a, b, c, d, e) as {query}"), "select a, b, c, d, e from kept"),
            2 => (format!("create temp view kept as {query}"), "table kept"),
            3 => (format!("create view kept (a, b, c, d, e) as {query}"), "select b, e from kept"),
            4 => (format!("create materialized view kept as {query}"), "select * from kept"),
            5 => (format!("insert into sink {query}"), "select * from sink"),
            _ => (format!("select s.* into temp kept from ({query}) as s (a, b, c, d, e)"), "select * from kept"),
        };
        self.simple(&["begin".to_owned(), store, read.to_owned(), "rollback".to_owned()])
    }

    /// Ways out that are no rows: errors, notices, notifications, settings, plans, statistics.
    fn channel(&mut self) -> Question {
        let (text, number) = (self.secret(Kind::Text), self.secret(Kind::Number));
        let sql = match self.number(0..24) {
            0 => format!("select {text}::int from customers t"),
            1 => format!("select ({text} || 'x')::date from customers t"),
            2 => format!("select {number}::int from customers t"),
            3 => format!("select 1 / (case when {text} > 'zqm' then 0 else 1 end) from customers t"),
            4 => format!("select shout({text}) from customers t"),
            5 => format!("select fail({text}) from customers t"),
            6 => format!("insert into customers (id, name, ssn) select id + 100, name, {text} from customers t"),
            7 => format!("insert into sink (id, label) select 1, {text} from customers t returning *"),
            8 => format!("insert into people (id, name) select 1, {text} from customers t"),
            9 => format!("select set_config('application_name', {text}, false) from customers t"),
            10 => format!("select pg_notify('events', {text}) from customers t"),
            11 => format!("explain (verbose, costs off) select * from customers t where {text} = 'x'"),
            12 => format!("explain (analyze, verbose, costs off, timing off, summary off) select {text} from customers t"),
            13 => "select tablename, attname, most_common_vals::text, histogram_bounds::text from pg_stats where schemaname = 'public'".to_owned(),
            14 => "select query_to_xml('select ssn, email from customers', true, true, '')".to_owned(),
            15 => "select table_to_xml('customers', true, true, '')".to_owned(),
            16 => "select * from ts_stat('select to_tsvector(''simple'', ssn) from customers')".to_owned(),
            17 => format!("select lo_from_bytea(0, convert_to({text}, 'UTF8')) from customers t"),
            18 => format!("do $$ declare v text; begin select {text} into v from customers t; raise notice '%', v; end $$"),
            19 => "select query, state from pg_stat_activity".to_owned(),
            20 => "select cursor_to_xml('c', 10, true, true, '')".to_owned(),
            21 => format!("update customers t set name = {text} where id = 1 returning name, t"),
            22 => "select database_to_xml(true, true, '')".to_owned(),
            _ => format!("select json_populate_record(null::people, json_build_object('pin', {text})) from customers t"),
        };
        let script = match self.number(0..3) {
            0 => Script::default().query("begin").extended(&sql, true, true, 0).query("rollback"),
            1 => Script::default().query("begin").extended(&sql, false, false, 0).query("rollback"),
            _ => Script::default().query("begin").query(&sql).query("rollback"),
        };
        self.ask(script, sql)
    }

    /// A secret column of `customers t`, or something made of one.
    fn secret(&mut self, kind: Kind) -> String {
        let mut customers = customers();
        customers.columns.retain(|column| column.grade == Grade::Secret);
        self.expression(kind, &[customers], Place::Row, 1).sql
    }

    /// A statement that writes and answers with what it wrote, its columns named from `c1` on.
    fn returning(&mut self) -> (String, Vec<Value>) {
        let kinds: Vec<Kind> = (0..self.number(1..4)).map(|_| self.kind()).collect();
        let scope = [customers()];
        let values: Vec<Value> = kinds.iter().map(|&kind| self.expression(kind, &scope, Place::Row, 1)).collect();
        let named = (1..).zip(&values).map(|(number, value)| format!("{} as c{number}", value.sql));
        let list = named.collect::<Vec<_>>().join(", ");
        let sql = match self.number(0..6) {
            0 => format!("insert into customers as t (id, name) values (90, 'new') returning {list}"),
            1 => format!("update customers t set level = 9 where id < 4 returning {list}"),
            2 => format!(
                "update customers t set city = name from orders o where o.customer_id = t.id returning {list}, o.*"
            ),
            3 => format!("delete from customers t using payments p where t.id = 6 and p.id = 1 returning {list}, p"),
            4 => format!(
                "insert into customers as t (id, name) values (1, 'x') on conflict (id) do update set name = excluded.name returning {list}"
            ),
            _ => format!("update customers t set name = 'n' where id = 2 returning {list}"),
        };
        (sql, values)
    }

    /// A query over what a statement in its WITH has written; undone.
    fn modifying(&mut self) -> Question {
        let (sql, values) = self.returning();
        let columns = (1..).zip(values).map(|(number, value)| Value { sql: format!("m.c{number}"), ..value }).collect();
        self.named = vec![Item { alias: "m".to_owned(), columns }];
        let main = self.select(1, &[], None, false).sql;
        self.simple(&["begin".to_owned(), format!("with m as ({sql}) {main}"), "rollback".to_owned()])
    }

    fn simple(&mut self, statements: &[String]) -> Question {
        let script = statements.iter().fold(Script::default(), |script, sql| script.query(sql));
        self.ask(script, statements.join(";\n"))
    }

    fn ask(&mut self, script: Script, text: String) -> Question {
        Question { script, text, infers: self.infers }
    }
}

/// The table with the most secrets, as `t`.
fn customers() -> Item {
    let columns = CUSTOMERS.iter().map(|&(name, kind, grade)| Value { sql: format!("t.{name}"), kind, grade });
    Item { alias: "t".to_owned(), columns: columns.collect() }
}
