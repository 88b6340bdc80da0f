// Command client goes through the matrix's steps with pgx.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

const slow = "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b"

func main() {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	if len(os.Args) > 1 && os.Args[1] == "vault" {
		vault(conn)
		return
	}

	fmt.Println("connect", text(conn, "select current_database()"))
	rows, err := conn.Query(ctx, "select id, name from customers order by id limit 3")
	if err != nil {
		log.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var id int
		var name string
		err := row.Scan(&id, &name)
		return fmt.Sprintf("%d:%s", id, name), err
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("query", strings.Join(lines, " "))
	fmt.Println("email", text(conn, "select email from customers where id = $1", 1))

	if _, err := conn.Prepare(ctx, "by_id", "select name from customers where id = $1"); err != nil {
		log.Fatal(err)
	}
	fmt.Println("prepared", text(conn, "by_id", 1), text(conn, "by_id", 2))

	tx, err := conn.Begin(ctx)
	if err != nil {
		log.Fatal(err)
	}
	execute(conn, "insert into orders (customer_id, item, amount) values (1, 'rolled back', 1)")
	if err := tx.Rollback(ctx); err != nil {
		log.Fatal(err)
	}
	before := count(conn, "orders")
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "insert into orders (customer_id, item, amount) values ($1, $2, 1)", 1, "matrix")
		return err
	}); err != nil {
		log.Fatal(err)
	}
	fmt.Println("transaction", before, count(conn, "orders"))
	execute(conn, "delete from orders where item = 'matrix'")

	in, err := conn.CopyFrom(ctx, pgx.Identifier{"imports"}, []string{"id", "label"},
		pgx.CopyFromRows([][]any{{1, "one"}, {2, "two"}, {3, "three"}}))
	if err != nil {
		log.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := conn.PgConn().CopyTo(ctx, &out, "copy imports to stdout"); err != nil {
		log.Fatal(err)
	}
	fmt.Println("copy", in, strings.Count(out.String(), "\n"))
	execute(conn, "delete from imports where id > 0")

	time.AfterFunc(500*time.Millisecond, func() {
		if err := conn.PgConn().CancelRequest(ctx); err != nil {
			log.Print(err)
		}
	})
	fmt.Println("cancel", refused(conn, slow))

	fmt.Println("denial", refused(conn, "drop database shop"), count(conn, "(select 1) one"))

	execute(conn, "begin")
	denied := refused(conn, "truncate salaries")
	aborted := refused(conn, "select 1")
	execute(conn, "rollback")
	fmt.Println("denial-in-transaction", denied, aborted, count(conn, "(select 1) one"))
}

func text(conn *pgx.Conn, sql string, arguments ...any) (value string) {
	if err := conn.QueryRow(context.Background(), sql, arguments...).Scan(&value); err != nil {
		log.Fatal(err)
	}
	return value
}

func count(conn *pgx.Conn, table string) (rows int) {
	if err := conn.QueryRow(context.Background(), "select count(*) from "+table).Scan(&rows); err != nil {
		log.Fatal(err)
	}
	return rows
}

func execute(conn *pgx.Conn, sql string) {
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		log.Fatal(err)
	}
}

func refused(conn *pgx.Conn, sql string) string {
	_, err := conn.Exec(context.Background(), sql)
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return fmt.Sprint(err)
}

// vault reads every column of the vault in both formats: one line each, format, column, type and what the driver made
// of it.
func vault(conn *pgx.Conn) {
	for form, mode := range map[string]pgx.QueryExecMode{"binary": pgx.QueryExecModeDescribeExec, "text": pgx.QueryExecModeSimpleProtocol} {
		for _, name := range names(conn) {
			rows, _ := conn.Query(context.Background(), "select "+name+" from vault where id = $1", mode, 7)
			values, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
			if err != nil {
				log.Fatal(name, ": ", err)
			}
			fmt.Printf("%s\t%s\t%T\t%s\n", form, name, values[0], shown(values[0]))
		}
	}
}

func names(conn *pgx.Conn) (names []string) {
	statement, err := conn.Prepare(context.Background(), "vault", "select * from vault where id = 0")
	if err != nil {
		log.Fatal(err)
	}
	for _, field := range statement.Fields {
		names = append(names, field.Name)
	}
	return names
}

func shown(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case []byte:
		return string(value)
	case [16]byte:
		return fmt.Sprintf("%x", value)
	case pgtype.Numeric:
		text, _ := value.Value()
		return fmt.Sprint(text)
	default:
		return fmt.Sprint(value)
	}
}
