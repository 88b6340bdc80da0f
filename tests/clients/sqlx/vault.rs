//! Reads every column of the vault in both formats: one line each, format, column, type and what the driver made of it.

use std::fmt::Debug;

use anyhow::Result;
use sqlx::{AssertSqlSafe, Column, Decode, PgConnection, Postgres, Row, Type, TypeInfo, ValueRef, postgres::PgRow};

/// All columns but one: the driver knows no multiranges.
const NAMES: &str = "select column_name::text from information_schema.columns
    where table_name = 'vault' and data_type <> 'int8multirange' order by ordinal_position";

pub async fn read(connection: &mut PgConnection) -> Result<()> {
    let names: Vec<String> = sqlx::query_scalar(NAMES).fetch_all(&mut *connection).await?;
    for name in names {
        let one = AssertSqlSafe(format!("select {name} from vault where id = $1"));
        line("binary", &name, &sqlx::query(one).bind(7).fetch_one(&mut *connection).await?)?;
        let one = AssertSqlSafe(format!("select {name} from vault where id = 7"));
        line("text", &name, &sqlx::raw_sql(one).fetch_one(&mut *connection).await?)?;
    }
    Ok(())
}

fn line(form: &str, name: &str, row: &PgRow) -> Result<()> {
    let of = row.column(0).type_info().name().to_owned();
    let value = match of.as_str() {
        "INT2" => typed::<i16>(row),
        "INT4" => typed::<i32>(row),
        "INT8" => typed::<i64>(row),
        "FLOAT4" => typed::<f32>(row),
        "FLOAT8" => typed::<f64>(row),
        "BOOL" => typed::<bool>(row),
        "TEXT" | "CHAR" => typed::<String>(row),
        "TEXT[]" => typed::<Vec<Option<String>>>(row),
        "INT8[]" => typed::<Vec<Option<i64>>>(row),
        _ => raw(row),
    };
    println!("{form}\t{name}\t{of}\t{}", value?);
    Ok(())
}

fn typed<'r, T: Decode<'r, Postgres> + Type<Postgres> + Debug>(row: &'r PgRow) -> Result<String> {
    Ok(row.try_get::<Option<T>, _>(0)?.map_or_else(|| "null".to_owned(), |value| format!("{value:?}")))
}

/// A value of a type that the driver leaves to other libraries. One that is no text shows in hexadecimal.
fn raw(row: &PgRow) -> Result<String> {
    let value = row.try_get_raw(0)?;
    if value.is_null() {
        return Ok("null".to_owned());
    }
    let bytes = value.as_bytes().map_err(anyhow::Error::from_boxed)?;
    let is_text = bytes.iter().all(u8::is_ascii_graphic);
    let hexadecimal = || bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(if is_text { String::from_utf8_lossy(bytes).into_owned() } else { hexadecimal() })
}
