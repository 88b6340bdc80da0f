//! tokio-postgres, as its documentation shows it.

mod vault;

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::{SinkExt, TryStreamExt};
use tokio_postgres::{Client, NoTls};

const SLOW: &str = "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b";

#[tokio::main]
async fn main() -> Result<()> {
    let mut config = tokio_postgres::Config::new();
    config.host(environment("PGHOST")?).port(environment("PGPORT")?.parse()?);
    config.user(environment("PGUSER")?).dbname(environment("PGDATABASE")?);
    if let Ok(password) = std::env::var("PGPASSWORD") {
        config.password(password);
    }
    let (mut client, connection) = config.connect(NoTls).await?;
    let driver = tokio::spawn(connection);
    if std::env::args().nth(1).as_deref() == Some("vault") {
        return vault::read(&client).await;
    }

    read(&client).await?;
    transaction(&mut client).await?;
    copy(&client).await?;
    cancel(&client).await?;
    denials(&client).await?;

    drop(client);
    Ok(driver.await??)
}

async fn read(client: &Client) -> Result<()> {
    println!("connect {}", client.query_one("select current_database()::text", &[]).await?.get::<_, String>(0));
    let rows = client.query("select id, name from customers order by id limit 3", &[]).await?;
    let lines: Vec<_> = rows.iter().map(|row| format!("{}:{}", row.get::<_, i32>(0), row.get::<_, &str>(1))).collect();
    println!("query {}", lines.join(" "));
    let email = client.query_one("select email from customers where id = $1", &[&1]).await?;
    println!("email {}", email.get::<_, &str>(0));

    let prepared = client.prepare("select name from customers where id = $1").await?;
    let first = client.query_one(&prepared, &[&1]).await?;
    let second = client.query_one(&prepared, &[&2]).await?;
    println!("prepared {} {}", first.get::<_, &str>(0), second.get::<_, &str>(0));
    Ok(())
}

async fn transaction(client: &mut Client) -> Result<()> {
    let insert = "insert into orders (customer_id, item, amount) values (1, $1, 1)";
    let transaction = client.transaction().await?;
    transaction.execute(insert, &[&"rolled back"]).await?;
    transaction.rollback().await?;
    let before = count(client, "orders").await?;
    let transaction = client.transaction().await?;
    transaction.execute(insert, &[&"matrix"]).await?;
    transaction.commit().await?;
    println!("transaction {before} {}", count(client, "orders").await?);
    client.execute("delete from orders where item = 'matrix'", &[]).await?;
    Ok(())
}

async fn copy(client: &Client) -> Result<()> {
    let sink = client.copy_in("copy imports from stdin").await?;
    let mut sink = std::pin::pin!(sink);
    sink.send(bytes::Bytes::from_static(b"1\tone\n2\ttwo\n3\tthree\n")).await?;
    let copied = sink.finish().await?;
    let out: Vec<_> = client.copy_out("copy imports to stdout").await?.try_collect().await?;
    println!("copy {copied} {}", out.len());
    client.execute("delete from imports where id > 0", &[]).await?;
    Ok(())
}

async fn cancel(client: &Client) -> Result<()> {
    let token = client.cancel_token();
    let canceller = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        token.cancel_query(NoTls).await
    });
    println!("cancel {}", refused(client, SLOW).await);
    Ok(canceller.await??)
}

async fn denials(client: &Client) -> Result<()> {
    println!("denial {} {}", refused(client, "drop database shop").await, count(client, "(select 1) one").await?);

    client.batch_execute("begin").await?;
    let denied = refused(client, "truncate salaries").await;
    let aborted = refused(client, "select 1").await;
    client.batch_execute("rollback").await?;
    println!("denial-in-transaction {denied} {aborted} {}", count(client, "(select 1) one").await?);
    Ok(())
}

async fn count(client: &Client, table: &str) -> Result<i64> {
    Ok(client.query_one(&format!("select count(*) from {table}"), &[]).await?.get(0))
}

async fn refused(client: &Client, sql: &str) -> String {
    match client.batch_execute(sql).await {
        Ok(()) => "nothing".to_owned(),
        Err(error) => error.code().map_or_else(|| error.to_string(), |state| state.code().to_owned()),
    }
}

fn environment(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("`{name}` is not set"))
}
