-- Every way out of the vault that is known, one statement a line. Lines that begin with ! are honest: they must
-- succeed and show the marker.
! select marker, plain from vault
! select * from vault
! table vault
! select v.* from vault v
! select marker, vault from vault
! select marker, row(v.*) from vault v
! select marker, row_to_json(v) from vault v
! select marker, to_jsonb(v) from vault v
! select marker, array_agg(plain) over (), array_agg(n8) over () from vault
! select marker, array[n4, n4], array[exact], array[uid], array[raw], array[born] from vault
! select marker, array[[plain, plain], [digits, digits]] from vault
! select marker, json_agg(v) over (), jsonb_agg(plain) over () from vault v
! select marker, json_object_agg(plain, n8) over (), jsonb_object_agg(digits, marker) over () from vault
! select marker, json_build_object('plain', plain, 'n8', n8), jsonb_build_array(words, born) from vault
! select marker, int8range(n8, n8 + 1), int8multirange(int8range(n8, n8 + 1)), numrange(exact, exact + 1) from vault
! select marker, (pair).a, (pair).b, pair from vault
! select marker, row(plain, n8, raw), row(row(digits)) from vault
! select marker, words[1], numbers[1], grid[1][1], array_to_string(words, '|') from vault
! select marker, docb -> 0, docb ->> 'planted-keyb', doc -> 'n', doc #>> '{planted-key}' from vault
! select marker, raw::text, encode(raw, 'hex'), encode(raw, 'base64'), plain::bytea from vault
! select marker, n8::text, n8::numeric, n8::float8, to_hex(n8), exact::bigint, f8::bigint from vault
! select marker, left(digits, 3), right(digits, 4), reverse(digits), substr(digits, 5, 2) from vault
select marker, replace(digits, '-', '') from vault
! select marker, extract(year from born), born - date '1970-01-01', to_char(seen, 'YYYY-MM-DD'), seen::date from vault
! select marker, ascii(plain), md5(plain), length(plain), string_to_array(plain, null) from vault
! select marker, host(host), host::text, mac::text, place[0], cash::numeric, bits::text from vault
! select marker, mood::text, code, code::text, insens::text, bag -> 'planted-bag', akeys(bag), hstore(v) from vault v
! select marker, xmlelement(name s, plain), xmlforest(plain, n8), mark::text, tsvector_to_array(terms) from vault
! select marker, coalesce(plain, 'x'), greatest(n4, 1), case when true then plain end, nullif(plain, 'x') from vault
! select marker, plain as marker, digits as id from vault
! select marker, a, b from (select marker, plain as a, n8 as b from vault) s
! with v as (select marker, digits d from vault) select marker, d, d || d from v
! with recursive v as (select marker, plain d from vault union select marker, d from v) select * from v
! select marker, plain from vault union all select 'visible-marker', 'x'
! select marker, x from vault, lateral (select plain x) l
! select marker, (select digits from vault limit 1) from vault
select * from vault_view
select marker, turned from vault_view
! select marker, max(plain) over (), first_value(n8) over (), string_agg(digits, ',') over () from vault
select marker, u from vault, unnest(words) u
! select marker, j.* from vault, jsonb_array_elements(docb -> 'planted-keyb') j
! copy vault to stdout
! copy vault to stdout (format csv, header)
! copy vault to stdout (format csv, delimiter ';', quote '''', force_quote *)
! copy vault to stdout (format binary)
! copy (select marker, plain, n8, reverse(digits) from vault) to stdout (delimiter '|', null 'none')
! copy (select marker, v from vault v) to stdout csv
! copy (select marker, n8, raw, words from vault) to stdout with binary
begin; declare c cursor for select * from vault; fetch all from c; commit
begin; declare c binary cursor for select * from vault; fetch all from c; commit
declare c cursor with hold for select plain, n8 from vault; fetch c; close c
prepare p as select * from vault; execute p; deallocate p
update vault set marker = marker where id = 7 returning *
update vault set marker = 'visible-marker' where id = 7 returning plain, reverse(plain)
insert into vault (id, marker) select 8, 'visible-marker' returning *
insert into vault (id, marker, digits) values (9, 'x', '536-90-4399')
insert into vault select * from vault
insert into vault select * from vault on conflict (id) do update set plain = excluded.plain returning *
insert into notes select 2, plain from vault returning body
begin; insert into vault (id, marker, plain) values (10, 'x', 'planted-plain'); commit
begin; insert into vault (id, marker) values (10, 'x'); set constraints all immediate; rollback
begin; insert into strict values (2, '536-90-4399', 5); select 1; commit
insert into strict values (3, '536-90-4399', 5)
insert into strict values (1, '536-90-4399', 5)
update strict set small = -1 where id = 1
insert into strict (id, digits, small) select 4, plain, n4 from vault
select plain::int from vault
select plain::date, digits::numeric, plain::uuid, plain::json, plain::xml, plain::inet from vault
select (plain || 'x')::mood from vault
select n4 / 0, n8 * n8 * n8 from vault
select n8::smallint from vault
select array[n8]::smallint[] from vault
select 1 / (case when plain like 'planted%' then 0 else 1 end) from vault
select to_timestamp(plain, plain) from vault
select plain::regclass, plain::regproc, plain::regtype from vault
select regexp_replace(plain, plain || '(', '') from vault
select cast(plain as pg_lsn) from vault
select jsonb_path_query(docb, ('$.' || plain || '!!')::jsonpath) from vault
select set_config('application_name', plain, false) from vault
select set_config('search_path', plain, false) from vault
select pg_notify('news', plain) from vault
listen news; select pg_notify('news', plain) from vault; select 1
select said()
select raised()
select set_it(); select 1
listen news; select sent(); select 1
select folded()
select outed()
select * from outed()
select (outed()).*
begin; select cursed('c'); fetch all from c; commit
explain select folded()
explain (verbose, format json) select folded() || plain from vault
explain (verbose) select * from vault where plain = folded()
explain analyze select plain::int from vault
explain (analyze, format xml) select * from vault where digits = (select plain from vault)
select * from pg_stats where tablename = 'vault'
select most_common_vals, histogram_bounds from pg_stats where tablename = 'vault'
select stavalues1::text from pg_statistic where starelid = 'vault'::regclass
select query from pg_stat_activity
select table_to_xml('vault', true, false, '')
select query_to_xml('select * from vault', true, false, '')
select query_to_xml_and_xmlschema('select plain from vault', true, false, '')
select database_to_xml(true, false, '')
select schema_to_xml('public', true, false, '')
begin; declare c cursor for select * from vault; select cursor_to_xml('c', 10, true, false, ''); commit
select * from ts_stat('select terms from vault')
select * from crosstab('select 1, plain, n8 from vault') as t (a int, b bigint)
select * from dblink('dbname=shop', 'select plain from vault') as t (a text)
select dblink_exec('dbname=shop', 'select 1')
select pg_read_file('PG_VERSION')
select lo_get(lo_from_bytea(0, raw)) from vault
select convert_from(lo_get(1), 'UTF8')
create temp table t as select * from vault; select * from t
select * into temp t2 from vault; select * from t2
create temp view tv as select plain p from vault; select p from tv
create materialized view mv as select plain p from vault; select p from mv
create table kid () inherits (vault); select * from kid
do $$ begin raise notice '%', (select plain from vault); end $$
select format('%s', plain), format('%L', v) from vault v
select v.row_to_json from vault v
select plain(v) from vault v
select (v).plain, (v.*).n8 from vault v
select json_populate_record(null::vault, row_to_json(v)) from vault v
select x.* from vault v, json_to_record(row_to_json(v)) as x (plain text, n8 bigint)
select x.* from vault, xmltable('/s' passing mark columns s text path '.') x
select x.* from vault, json_each_text(doc) x
select each(bag) from vault
select * from vault, json_table(docb, '$.*[*]' columns (v text path '$')) x
select count(*), plain from vault group by plain
select plain from vault order by plain
select distinct on (plain) plain, n8 from vault
select any_value(plain) from vault
select percentile_disc(0.5) within group (order by n8), mode() within group (order by plain) from vault
select min(plain), max(born), sum(n8), avg(f8), bool_and(flag), bit_or(n4) from vault
values ((select plain from vault), (select n8 from vault))
select current_setting('application_name')
show application_name
