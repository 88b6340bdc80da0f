import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

/** JDBC (pgjdbc), run from its source: `java -cp postgresql.jar Client.java`. */
public class Client {
    static final String SLOW =
        "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b";

    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:postgresql://" + env("PGHOST") + ":" + env("PGPORT") + "/" + env("PGDATABASE");
        Properties properties = new Properties();
        properties.setProperty("user", env("PGUSER"));
        if (System.getenv("PGPASSWORD") != null) {
            properties.setProperty("password", env("PGPASSWORD"));
        }
        try (Connection connection = DriverManager.getConnection(url, properties)) {
            steps(connection);
        }
    }

    static void steps(Connection connection) throws Exception {
        System.out.println("connect " + value(connection, "select current_database()"));
        System.out.println("query " + String.join(" ",
            values(connection, "select id || ':' || name from customers order by id limit 3")));
        System.out.println("email " + value(connection, "select email from customers where id = 1"));

        // Five executions make pgjdbc switch from the unnamed to a named statement.
        List<String> names = new ArrayList<>();
        try (PreparedStatement byId = connection.prepareStatement("select name from customers where id = ?")) {
            for (int round = 0; round < 8; round++) {
                byId.setInt(1, round % 2 + 1);
                try (ResultSet rows = byId.executeQuery()) {
                    rows.next();
                    names.add(rows.getString(1));
                }
            }
        }
        System.out.println("prepared " + names.get(6) + " " + names.get(7));

        connection.setAutoCommit(false);
        execute(connection, "insert into orders (customer_id, item, amount) values (1, 'rolled back', 1)");
        connection.rollback();
        String before = value(connection, "select count(*) from orders");
        execute(connection, "insert into orders (customer_id, item, amount) values (1, 'matrix', 1)");
        connection.commit();
        connection.setAutoCommit(true);
        System.out.println("transaction " + before + " " + value(connection, "select count(*) from orders"));
        execute(connection, "delete from orders where item = 'matrix'");

        CopyManager copy = connection.unwrap(PGConnection.class).getCopyAPI();
        long in = copy.copyIn("copy imports from stdin", new StringReader("1\tone\n2\ttwo\n3\tthree\n"));
        long out = copy.copyOut("copy imports to stdout", new StringWriter());
        System.out.println("copy " + in + " " + out);
        execute(connection, "delete from imports where id > 0");

        System.out.println("cancel " + cancelled(connection));
        System.out.println("denial " + refused(connection, "drop database shop") + " "
            + value(connection, "select 1"));

        connection.setAutoCommit(false);
        String denied = refused(connection, "truncate salaries");
        String aborted = refused(connection, "select 1");
        connection.rollback();
        connection.setAutoCommit(true);
        System.out.println("denial-in-transaction " + denied + " " + aborted + " " + value(connection, "select 1"));
    }

    static String cancelled(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            Thread canceller = new Thread(() -> {
                try {
                    Thread.sleep(500);
                    statement.cancel();
                } catch (InterruptedException | SQLException error) {
                    error.printStackTrace();
                }
            });
            canceller.start();
            try {
                statement.execute(SLOW);
                return "nothing";
            } catch (SQLException error) {
                return error.getSQLState();
            } finally {
                canceller.join();
            }
        }
    }

    static String refused(Connection connection, String sql) {
        try {
            execute(connection, sql);
            return "nothing";
        } catch (SQLException error) {
            return error.getSQLState();
        }
    }

    static void execute(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    static String value(Connection connection, String sql) throws SQLException {
        return values(connection, sql).get(0);
    }

    static List<String> values(Connection connection, String sql) throws SQLException {
        List<String> found = new ArrayList<>();
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            while (rows.next()) {
                found.add(rows.getString(1));
            }
        }
        return found;
    }

    static String env(String name) {
        return System.getenv(name);
    }
}
