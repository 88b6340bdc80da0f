//! Reads every column of the vault in both formats: one line each, format, column, type and what the driver made of it.

use std::{error::Error, fmt::Debug, net::IpAddr, time::SystemTime};

use anyhow::{Context, Result};
use tokio_postgres::{
    Client, Row, SimpleQueryMessage,
    types::{FromSql, Type},
};

/// A value of a type that the driver leaves to other libraries.
struct Raw(Vec<u8>);

impl FromSql<'_> for Raw {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

pub async fn read(client: &Client) -> Result<()> {
    let all = client.prepare("select * from vault where id = 0").await?;
    for column in all.columns() {
        let (name, of) = (column.name(), column.type_());
        let row = client.query_one(&format!("select {name} from vault where id = $1"), &[&7]).await?;
        println!("binary\t{name}\t{of}\t{}", shown(&row, of)?);
        let answer = client.simple_query(&format!("select {name} from vault where id = 7")).await?;
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        println!("text\t{name}\t{of}\t{}", row.context("no row")?.try_get(0)?.unwrap_or("null"));
    }
    Ok(())
}

fn shown(row: &Row, of: &Type) -> Result<String> {
    match *of {
        Type::INT2 => typed::<i16>(row),
        Type::INT4 => typed::<i32>(row),
        Type::INT8 => typed::<i64>(row),
        Type::FLOAT4 => typed::<f32>(row),
        Type::FLOAT8 => typed::<f64>(row),
        Type::BOOL => typed::<bool>(row),
        Type::TEXT | Type::BPCHAR => typed::<String>(row),
        Type::TIMESTAMPTZ => typed::<SystemTime>(row),
        Type::INET => typed::<IpAddr>(row),
        Type::TEXT_ARRAY => typed::<Vec<Option<String>>>(row),
        Type::INT8_ARRAY => typed::<Vec<Option<i64>>>(row),
        Type::UUID => raw(row, |bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        _ => raw(row, |bytes| String::from_utf8_lossy(bytes).into_owned()),
    }
}

fn typed<'a, T: FromSql<'a> + Debug>(row: &'a Row) -> Result<String> {
    Ok(row.try_get::<_, Option<T>>(0)?.map_or_else(|| "null".to_owned(), |value| format!("{value:?}")))
}

fn raw(row: &Row, show: fn(&[u8]) -> String) -> Result<String> {
    Ok(row.try_get::<_, Option<Raw>>(0)?.map_or_else(|| "null".to_owned(), |value| show(&value.0)))
}
