//! Every door through which the state of a session could be changed: each is shut, or leads nowhere.

use portcullis_tests::place;

use super::*;

/// Refused, with the code of a denial or of a mistake.
const SHUT: &[&str] = &[
    // How strings are read.
    "set standard_conforming_strings = off",
    "set standard_conforming_strings to 'off'",
    "set session standard_conforming_strings = 0",
    "set \"standard_conforming_strings\" = off",
    "set \"Standard_Conforming_Strings\" to false",
    "begin; set local standard_conforming_strings = off",
    "begin; savepoint s; set standard_conforming_strings = off; release s; commit",
    "set/**/standard_conforming_strings/**/=/**/off",
    "select 1; set standard_conforming_strings = off",
    "select set_config('standard_conforming_strings', 'off', false)",
    "select pg_catalog.set_config('STANDARD_conforming_strings', 'off', true)",
    "select set_config('standard_conforming' || '_strings', 'off', false)",
    "select set_config(E'standard\\x5fconforming_strings', 'off', false)",
    "select set_config(U&'standard\\005fconforming_strings', 'off', false)",
    "select set_config(setting_name => 'standard_conforming_strings', new_value => 'off', is_local => false)",
    "select set_config(variadic array['standard_conforming_strings', 'off'], false)",
    "select set_config(name, 'off', false) from pg_settings where name = 'standard_conforming_strings'",
    "select set_config(name, 'off', false) from pg_settings where name like 'standard_conf%'",
    "select (select set_config('standard_conforming_strings', 'off', false))",
    "with a as (select set_config('standard_conforming_strings', 'off', false)) select * from a",
    "select * from set_config('standard_conforming_strings', 'off', false)",
    "select 1 from orders where set_config('standard_conforming_strings', 'off', false) = 'off'",
    "select 1 order by set_config('standard_conforming_strings', 'off', false)",
    "select count(*) from orders having set_config('standard_conforming_strings', 'off', false) = 'off'",
    "select 1 limit length(set_config('standard_conforming_strings', 'off', false))",
    "values (set_config('standard_conforming_strings', 'off', false))",
    "copy (select set_config('standard_conforming_strings', 'off', false)) to stdout",
    "explain analyze select set_config('standard_conforming_strings', 'off', false)",
    "insert into imports select 1, set_config('standard_conforming_strings', 'off', false)",
    "update imports set label = set_config('standard_conforming_strings', 'off', false) where id = 1",
    "delete from imports where id = 0 returning set_config('standard_conforming_strings', 'off', false)",
    "create table own.made as select set_config('standard_conforming_strings', 'off', false)",
    "create table own.made (a text default set_config('standard_conforming_strings', 'off', false))",
    "prepare p as select set_config('standard_conforming_strings', 'off', false); execute p",
    "prepare p (text) as select set_config($1, 'off', false); execute p ('standard_conforming_strings')",
    "begin; declare c cursor for select set_config('standard_conforming_strings', 'off', false); fetch c",
    "do $$ begin set standard_conforming_strings = off; end $$",
    "do $$ begin perform set_config('standard_conforming_strings', 'off', false); end $$",
    "do $$ begin execute 'set standard_conforming_strings = off'; end $$",
    "create function own.f() returns text language sql as $$ select set_config('standard_conforming_strings', 'off', false) $$",
    "create function own.f() returns int language sql set standard_conforming_strings = off as $$ select 1 $$",
    "create procedure own.p() language sql set client_encoding = 'GBK' as $$ select 1 $$",
    "create rule r as on insert to own.notes do also select set_config('standard_conforming_strings', 'off', false)",
    "update pg_settings set setting = 'off' where name = 'standard_conforming_strings'",
    "update pg_catalog.pg_settings set setting = 'off' where name = 'standard_conforming_strings'",
    "update only pg_settings as s set setting = 'off' where s.name = 'standard_conforming_strings'",
    "with u as (update pg_settings set setting = 'off' where name = 'standard_conforming_strings' returning 1) select 1",
    "update own.settings set setting = 'off' where name = 'standard_conforming_strings'",
    "update own.settings_again set setting = 'off' where name = 'standard_conforming_strings'",
    "begin; create view own.third as select * from pg_settings; update own.third set setting = 'off' where name = 'standard_conforming_strings'",
    "create view own.third as select name, setting from own.settings_again",
    "create temp view third as select * from pg_settings",
    "alter function own.total(int) set standard_conforming_strings = off",
    "explain analyze update own.settings set setting = 'off' where name = 'standard_conforming_strings'",
    "set backslash_quote = on",
    "select set_config('backslash_quote', 'on', false)",
    // In which bytes text comes.
    "set client_encoding = 'GBK'",
    "set client_encoding to BIG5",
    "set client_encoding to 'GB18030'",
    "set names 'SJIS'",
    "set names 'SQL_ASCII'",
    "set \"client_encoding\" = latin1",
    "select set_config('client_encoding', 'GBK', false)",
    "select set_config('client' || '_encoding', 'GBK', false)",
    "update pg_settings set setting = 'GBK' where name = 'client_encoding'",
    // Where names are looked up.
    "set search_path = pg_temp, public",
    "set search_path to 'pg_temp'",
    "set schema 'pg_temp'",
    "set search_path = pg_catalog, own, public",
    "select set_config('search_path', 'pg_temp, public', false)",
    "select set_config('search_path', 'o' || 'wn', false)",
    "select set_config('search_path', 'own', false) from orders",
    "update pg_settings set setting = 'pg_temp' where name = 'search_path'",
    "alter function own.total(int) set search_path = own",
    // Who it is, and what the server loads.
    "set session authorization 'postgres'",
    "set session_authorization = 'postgres'",
    "set local session authorization postgres",
    "select set_config('session_authorization', 'postgres', false)",
    "set session_replication_role = replica",
    "select set_config('session_replication_role', 'replica', false)",
    "set allow_system_table_mods = on",
    "set lo_compat_privileges = on",
    "set local_preload_libraries = 'auto_explain'",
    "set session_preload_libraries = 'auto_explain'",
    "set dynamic_library_path = '/tmp'",
    "load 'auto_explain'",
];

/// Leads nowhere, whatever the server makes of it.
const HARMLESS: &[&str] = &[
    "set standard_conforming_strings = on",
    "\\encoding GBK",
    "reset all",
    "discard all",
    "begin; reset all; rollback",
    "merge into pg_settings s using (values (1)) v on s.name = 'standard_conforming_strings' when matched then update set setting = 'off'",
    "set role postgres",
    "set role none",
    "reset role",
    "set session authorization default",
    "reset session authorization",
    "select set_config('role', 'postgres', false)",
    "alter system set standard_conforming_strings = off",
    "set log_statement = 'none'",
    "set search_path = own, public",
    "set search_path = ''",
    "begin; savepoint s; set search_path = own; rollback to s",
    "begin; set local search_path = own",
    "begin; set search_path = own; select 1/0",
    "create temp table customers (id int, ssn text)",
    "create temp table pg_settings (name text, setting text)",
    "set escape_string_warning = off",
    "set transform_null_equals = on",
    "set array_nulls = off",
    "set bytea_output = 'escape'",
    "set datestyle = 'sql, dmy'",
    "set intervalstyle = 'iso_8601'",
    "set xmlbinary = hex",
    "set xmloption = document",
    "set quote_all_identifiers = on",
    "set extra_float_digits = -15",
    "set row_security = off",
    "set check_function_bodies = off",
    "set default_transaction_read_only = on",
    "set session characteristics as transaction read only",
    "begin read only",
    "begin isolation level serializable, read write, not deferrable",
    "begin; set transaction snapshot '00000003-0000001B-1'",
    "set constraints all deferred",
    "set client_min_messages = debug5",
    "set debug_print_plan = on",
    "set plan_cache_mode = force_generic_plan",
    "set my.own = 'x'",
    "set application_name = E'a\\nb'",
];

/// What a login brings along: the variable of libpq, its value, and whether the session begins.
const BROUGHT: &[(&str, &str, bool)] = &[
    ("PGOPTIONS", "-c standard_conforming_strings=off", false),
    ("PGOPTIONS", "--standard-conforming-strings=off", false),
    ("PGOPTIONS", "-cSTANDARD_CONFORMING_STRINGS=0", false),
    ("PGOPTIONS", "-c client_encoding=GBK", false),
    ("PGOPTIONS", "-c backslash_quote=on", false),
    ("PGOPTIONS", "-c search_path=pg_temp,public", false),
    ("PGOPTIONS", "-c role=postgres", false),
    ("PGOPTIONS", "-c session_replication_role=replica", false),
    ("PGOPTIONS", "-c local_preload_libraries=auto_explain", false),
    ("PGOPTIONS", "-c statement_timeout=5s -c standard_conforming_strings=off", false),
    ("PGOPTIONS", "-W 1 -F", false),
    ("PGCLIENTENCODING", "GBK", false),
    ("PGCLIENTENCODING", "BIG5", false),
    ("PGCLIENTENCODING", "SQL_ASCII", true),
    ("PGCLIENTENCODING", "UTF8", true),
    ("PGOPTIONS", "-c standard_conforming_strings=on", true),
    ("PGOPTIONS", "-c statement_timeout=5s --DateStyle=ISO", true),
    ("PGOPTIONS", "-c search_path=own,public", true),
    ("PGDATESTYLE", "sql, dmy", true),
    ("PGTZ", "Europe/Berlin", true),
    ("PGAPPNAME", "o'clock; drop table orders", true),
];

/// What somebody who may does to the role, the database or the server's own configuration.
const CONFIGURED: &[&str] = &[
    "alter role app set standard_conforming_strings = off",
    "alter role app in database shop set client_encoding = 'GBK'",
    "alter database shop set standard_conforming_strings = off",
    "alter role all set backslash_quote = on",
    "alter role app set bytea_output = 'escape'",
    "alter role app set search_path = own, public",
    "alter role app set session_replication_role = replica",
    "alter role app set transform_null_equals = on",
    "alter system set standard_conforming_strings = off",
    "alter system set client_encoding = 'GBK'",
];

/// Honest statements under the rules that come with the gate.
const HONEST: &[&str] = &[
    "set statement_timeout = '10s'",
    "set statement_timeout = 0",
    "set application_name = 'reports'",
    "set application_name to default",
    "set time zone 'Europe/Berlin'",
    "set timezone to default",
    "set time zone local",
    "set search_path to public",
    "set search_path = public, own",
    "set search_path to \"$user\", public",
    "set schema 'public'",
    "reset search_path",
    "select pg_catalog.set_config('search_path', '', false)",
    "begin; set local search_path = own; select label from notes; commit",
    "set extra_float_digits = 3",
    "set client_encoding to 'UTF8'",
    "set client_encoding = utf8",
    "set names 'utf-8'",
    "\\encoding UTF8",
    "set standard_conforming_strings = on",
    "set datestyle = iso, mdy",
    "set intervalstyle = postgres",
    "set bytea_output = hex",
    "set client_min_messages = warning",
    "set lock_timeout = '1s'; set idle_in_transaction_session_timeout = '1min'",
    "set default_transaction_isolation = 'repeatable read'",
    "set session characteristics as transaction isolation level read committed",
    "begin; set transaction isolation level serializable, read only, deferrable; select 1; commit",
    "begin isolation level repeatable read read only; select 1; end",
    "start transaction read write; savepoint a; rollback to savepoint a; release a; commit and chain; rollback",
    "set constraints all immediate",
    "set session authorization default",
    "reset session authorization",
    "reset role",
    "set role none",
    "reset all",
    "discard all",
    "discard plans; discard sequences; discard temp",
    "deallocate all; close all; unlisten *; select pg_advisory_unlock_all()",
    "show all",
    "show time zone; show transaction_isolation; show server_version",
    "select current_setting('TimeZone'), current_setting('my.own', true)",
    "select set_config('application_name', 'x', false), set_config('statement_timeout', '5s', true)",
    "select name, setting from pg_settings where name = 'work_mem'",
    "set work_mem = '8MB'; set enable_seqscan = off; set jit = off",
    "set row_security = off",
];

/// What must hold whenever a session can still speak: how it reads strings and bytes, and what it hides.
const PROBE: &str = "\\echo probed\nshow standard_conforming_strings;\nshow client_encoding;\n\
    select '\\', ssn from customers where id = 1 --', email from customers\n;\n\
    select ssn, email from public.customers where id = 1;\ntruncate public.payments;\n\
    rollback;\nshow standard_conforming_strings;\nshow client_encoding;\n\
    select '\\', ssn from public.customers where id = 1 --'\n;\n\
    select ssn, email, card from public.customers where id = 1";

const SECRETS: [&str; 3] = ["536-90", "ada.lovelace@", "4111111111"];

/// A shop with views of settings, and a schema of the role's own.
fn shop(setup: &Setup) -> Result<Pair> {
    let pair = Pair::with(setup)?;
    pair.server.shop(
        "create schema own authorization app; create table own.notes (id int, label text); alter table own.notes owner to app;
         insert into own.notes values (1, 'noted'); grant temporary on database shop to app;
         create view own.settings as select * from pg_settings; grant select, update on own.settings to app;
         create view own.settings_again as select name, setting from own.settings; grant select, update on own.settings_again to app",
    )?;
    Ok(pair)
}

/// A gate that lets everything through that it understands.
fn open() -> Result<(tempfile::TempDir, Pair)> {
    let place = place::temporary()?;
    std::fs::write(place.path().join("open.cedar"), hostile::OPEN)?;
    std::fs::copy(place::repository().join("policies/site.cedarschema"), place.path().join("site.cedarschema"))?;
    let pair = shop(&Setup { policies: Some(place.path().to_owned()), ..Setup::default() })?;
    Ok((place, pair))
}

/// What is said to each of these, and then to the probe, in a session of its own.
fn tried(pair: &Pair, doors: &[&str]) -> Result<Vec<(String, String)>> {
    asked(pair, doors, "\\connect\n")
}

/// The same, after `first`.
fn asked(pair: &Pair, doors: &[&str], first: &str) -> Result<Vec<(String, String)>> {
    let scripts: Vec<String> = doors.iter().map(|door| format!("{first}{door}\n;{PROBE}")).collect();
    let scripts: Vec<&str> = scripts.iter().map(String::as_str).collect();
    let said = corpus::ask(pair, &scripts)?;
    let split = |said: String| said.split_once("probed").map(|(door, probe)| (door.to_owned(), probe.to_owned()));
    Ok(said.into_iter().map(|said| split(said.clone()).unwrap_or((said, String::new()))).collect())
}

fn holds(probe: &str) -> Result<()> {
    let is_chatter = |line: &&str| ["DEBUG:", "LOG:", "LOCATION:"].iter().any(|kind| line.starts_with(kind));
    let lines: Vec<&str> = probe.lines().filter(|line| !is_chatter(line)).collect();
    ensure!(lines.windows(2).any(|pair| pair == ["on", "UTF8"]), "how it reads is not known:\n{probe}");
    ensure!(!lines.contains(&"off") && !lines.contains(&"GBK"), "it reads otherwise:\n{probe}");
    ensure!(["42501", "25P02", "25006"].iter().any(|code| probe.contains(code)), "payments were emptied:\n{probe}");
    SECRETS.iter().try_for_each(|secret| lacks(probe, secret))
}

/// Whether the gate is what refused it.
fn is_refused(said: &str) -> bool {
    ["42501: denied", "42601", "22021", "54000"].iter().any(|code| said.contains(code))
}

#[test]
fn no_door_leads_to_another_reading_of_statements() -> Result<()> {
    let (_kept, pair) = open()?;
    let mut found = Vec::new();
    // What is refused leaves nothing behind, so that one session does for all.
    for (door, (said, probe)) in SHUT.iter().zip(asked(&pair, SHUT, "")?) {
        if !is_refused(&said) {
            found.push(format!("{door}\n  is not refused: {said}"));
        }
        found.extend(holds(&probe).err().map(|error| format!("{door}\n  {error}")));
    }
    for (door, (said, probe)) in HARMLESS.iter().zip(tried(&pair, HARMLESS)?) {
        found.extend(holds(&probe).err().map(|error| format!("{door}\n  {error}\n  said: {said}")));
    }
    ensure!(found.is_empty(), "{}", found.join("\n"));
    assert_eq!(pair.server.shop("select count(*) from pg_db_role_setting")?, "0");
    assert_eq!(pair.server.shop("select count(*) from payments")?, "2");
    Ok(())
}

#[test]
fn honest_settings_pass_under_the_rules_that_come_with_the_gate() -> Result<()> {
    let pair = shop(&Setup::default())?;
    let refused = HONEST.iter().zip(tried(&pair, HONEST)?).filter_map(|(door, (said, probe))| {
        let wrong =
            said.contains("ERROR").then_some(said).or_else(|| holds(&probe).err().map(|error| error.to_string()));
        wrong.map(|wrong| format!("{door}\n  {wrong}"))
    });
    let refused: Vec<_> = refused.collect();
    ensure!(refused.is_empty(), "{}", refused.join("\n"));
    Ok(())
}

#[test]
fn a_login_brings_no_other_reading_along() -> Result<()> {
    let (_kept, pair) = open()?;
    for (variable, value, begins) in BROUGHT {
        let script = pair.gate.place().join("probe.sql");
        std::fs::write(&script, format!("{PROBE};\n"))?;
        let mut command =
            pair.gate.workload(&pair.server, ["sh", "-c", "exec psql -X -q -t -A -v VERBOSITY=verbose 2>&1"]);
        let said = said(&command.env(variable, value).stdin(std::fs::File::open(script)?).output()?);
        let outcome = match begins {
            true => holds(&said),
            false => contains(&said, "FATAL").and_then(|()| lacks(&said, "probed")),
        };
        outcome.map_err(|error| error.context(format!("{variable}={value}")))?;
    }
    Ok(())
}

#[test]
fn what_is_configured_for_the_role_changes_no_reading() -> Result<()> {
    let (_kept, pair) = open()?;
    for configured in CONFIGURED {
        pair.server.shop(configured)?;
    }
    pair.server.shop("select pg_reload_conf()")?;
    for (said, probe) in
        tried(&pair, &["select label from notes", "reset all", "discard all", "reset standard_conforming_strings"])?
    {
        holds(&probe).map_err(|error| error.context(said))?;
    }
    Ok(())
}
