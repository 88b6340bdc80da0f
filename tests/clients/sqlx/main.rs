//! sqlx, configured by the environment alone.

mod vault;

use anyhow::Result;
use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgConnectOptions};

const SLOW: &str = "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b";

#[tokio::main]
async fn main() -> Result<()> {
    let mut connection = PgConnection::connect_with(&PgConnectOptions::new()).await?;
    if std::env::args().nth(1).as_deref() == Some("vault") {
        return vault::read(&mut connection).await;
    }
    read(&mut connection).await?;
    transaction(&mut connection).await?;
    copy(&mut connection).await?;
    cancel(&mut connection).await?;
    denials(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

async fn read(connection: &mut PgConnection) -> Result<()> {
    let database: String = sqlx::query_scalar("select current_database()::text").fetch_one(&mut *connection).await?;
    println!("connect {database}");
    let rows = sqlx::query("select id, name from customers order by id limit 3").fetch_all(&mut *connection).await?;
    let lines: Vec<_> = rows.iter().map(|row| format!("{}:{}", row.get::<i32, _>(0), row.get::<&str, _>(1))).collect();
    println!("query {}", lines.join(" "));
    let email: String =
        sqlx::query_scalar("select email from customers where id = $1").bind(1).fetch_one(&mut *connection).await?;
    println!("email {email}");

    let mut names: Vec<String> = Vec::new();
    for id in [1, 2] {
        let by_id = sqlx::query_scalar("select name from customers where id = $1").bind(id);
        names.push(by_id.fetch_one(&mut *connection).await?);
    }
    println!("prepared {}", names.join(" "));
    Ok(())
}

async fn transaction(connection: &mut PgConnection) -> Result<()> {
    let insert = "insert into orders (customer_id, item, amount) values (1, $1, 1)";
    let mut transaction = connection.begin().await?;
    sqlx::query(insert).bind("rolled back").execute(&mut *transaction).await?;
    transaction.rollback().await?;
    let before = count(connection, "orders").await?;
    let mut transaction = connection.begin().await?;
    sqlx::query(insert).bind("matrix").execute(&mut *transaction).await?;
    transaction.commit().await?;
    println!("transaction {before} {}", count(connection, "orders").await?);
    sqlx::query("delete from orders where item = 'matrix'").execute(connection).await?;
    Ok(())
}

async fn copy(connection: &mut PgConnection) -> Result<()> {
    let mut sink = connection.copy_in_raw("copy imports from stdin").await?;
    sink.send(b"1\tone\n2\ttwo\n3\tthree\n".as_slice()).await?;
    let copied = sink.finish().await?;
    let out: Vec<_> = connection.copy_out_raw("copy imports to stdout").await?.try_collect().await?;
    println!("copy {copied} {}", out.len());
    sqlx::query("delete from imports where id > 0").execute(connection).await?;
    Ok(())
}

/// sqlx sends no cancel requests; what its users have is the server's own time limit, with the same error.
async fn cancel(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("set statement_timeout = '500ms'").execute(&mut *connection).await?;
    println!("cancel {}", refused(connection, SLOW).await);
    sqlx::query("reset statement_timeout").execute(connection).await?;
    Ok(())
}

async fn denials(connection: &mut PgConnection) -> Result<()> {
    println!(
        "denial {} {}",
        refused(connection, "drop database shop").await,
        count(connection, "(select 1) one").await?
    );

    sqlx::query("begin").execute(&mut *connection).await?;
    let denied = refused(connection, "truncate salaries").await;
    let aborted = refused(connection, "select 1").await;
    sqlx::query("rollback").execute(&mut *connection).await?;
    println!("denial-in-transaction {denied} {aborted} {}", count(connection, "(select 1) one").await?);
    Ok(())
}

async fn count(connection: &mut PgConnection, table: &str) -> Result<i64> {
    let sql = AssertSqlSafe(format!("select count(*) from {table}"));
    Ok(sqlx::query_scalar(sql).fetch_one(connection).await?)
}

async fn refused(connection: &mut PgConnection, sql: &'static str) -> String {
    match sqlx::query(sql).execute(connection).await {
        Ok(_) => "nothing".to_owned(),
        Err(sqlx::Error::Database(error)) => error.code().unwrap_or_default().into_owned(),
        Err(error) => error.to_string(),
    }
}
