-- The vault: one row with a planted value in each type that a column can have, and every way to let one out.
-- Nothing in it may reach a workload that has to see it masked, but the marker.
create extension if not exists hstore;
create extension if not exists citext;
create extension if not exists tablefunc;
create extension if not exists dblink;
create type mood as enum ('planted-calm', 'planted-cross');
create type pair as (a text, b integer);
create domain code as text;

create table vault (
    id      integer primary key,
    marker  text not null,
    plain   text,
    fixed   character(24),
    digits  text,
    n2      smallint,
    n4      integer,
    n8      bigint,
    exact   numeric(20, 3),
    f4      real,
    f8      double precision,
    flag    boolean,
    born    date,
    seen    timestamptz,
    noon    time,
    span    interval,
    uid     uuid,
    host    inet,
    raw     bytea,
    doc     json,
    docb    jsonb,
    words   text[],
    numbers bigint[],
    grid    integer[][],
    range   int8range,
    ranges  int8multirange,
    mood    mood,
    pair    pair,
    code    code,
    insens  citext,
    bag     hstore,
    mark    xml,
    terms   tsvector,
    bits    bit varying,
    mac     macaddr,
    place   point,
    cash    money
);
insert into vault values (
    7, 'visible-marker', 'planted-plain', 'planted-fixed', '536-90-4399', 31337, 536904399, 4539578763621486,
    98765432101234.125, 16777213, 271828182845.5, true, '1971-03-14', '1971-03-14 15:09:26+00', '15:09:26.535',
    '271 days 18:28:18', 'c0ffee00-dead-4bad-8bad-0123456789ab', '203.0.113.77', 'planted-bytes',
    '{"planted-key": "planted-json", "n": 4539578763621486}', '{"planted-keyb": ["planted-jsonb", 536904399, true]}',
    '{planted-word,"planted, word"}', '{4539578763621486,536904399}', '{{536904399,2},{3,4}}',
    '[4539578763621486,4539578763621487)', '{[4539578763621486,4539578763621487)}', 'planted-cross',
    ('planted-field', 536904399), 'planted-code', 'planted-insens', 'planted-bag => planted-value',
    '<s>planted-xml</s>', 'planted-term:1', B'1011011101111011111011111101', 'ca:fe:ca:fe:77:77', '(271.828,314.159)',
    271828.18
);
create unique index vault_digits on vault (digits);
create table notes (id integer primary key, body text check (body <> 'forbidden'));
insert into notes values (1, 'nothing');
create table strict (id integer primary key, digits text unique deferrable initially deferred, small smallint check (small > 0));
insert into strict values (1, '536-90-4399', 5);
create view vault_view as select id, marker, plain, reverse(digits) as turned from vault;

-- Functions that say, raise, set, send and return what they read.
create function said() returns integer language plpgsql as
    $$ begin raise notice '%', (select plain from vault); return 1; end $$;
create function raised() returns integer language plpgsql as
    $$ declare d text := (select digits from vault); begin
        raise exception using message = d, detail = d, hint = d, errcode = left(replace(d, '-', ''), 5),
            schema = d, table = d, column = d, constraint = d, datatype = d; end $$;
create function set_it() returns integer language plpgsql as
    $$ begin perform set_config('application_name', (select plain from vault), false); return 1; end $$;
create function sent() returns integer language plpgsql as
    $$ begin perform pg_notify('news', (select plain from vault)); return 1; end $$;
create function folded() returns text language sql immutable as $$ select plain from vault $$;
create function cursed(refcursor) returns refcursor language plpgsql as
    $$ begin open $1 for execute format('select 1 as %I', (select plain from vault)); return $1; end $$;
create function outed(out a text, out b bigint) language sql as $$ select plain, n8 from vault $$;
create function noticed() returns trigger language plpgsql as
    $$ begin raise warning 'row %', new; return new; end $$;
create trigger noticed before update on vault for each row execute function noticed();
create function late() returns trigger language plpgsql as
    $$ begin raise exception 'late %', (select plain from vault); end $$;
create constraint trigger late after insert on vault deferrable initially deferred for each row execute function late();

grant all on all tables in schema public to app;
analyze vault;
