import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;

/** Reads every column of the vault in both formats: one line each, format, column and what the driver made of it. */
public class Vault {
    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/"
            + System.getenv("PGDATABASE");
        for (boolean binary : new boolean[] {false, true}) {
            Properties properties = new Properties();
            properties.setProperty("user", System.getenv("PGUSER"));
            properties.setProperty("binaryTransfer", Boolean.toString(binary));
            // Binary from the first execution on.
            properties.setProperty("prepareThreshold", binary ? "-1" : "0");
            try (Connection connection = DriverManager.getConnection(url, properties)) {
                for (String name : names(connection)) {
                    read(connection, binary ? "binary" : "text", name);
                }
            }
        }
    }

    static List<String> names(Connection connection) throws Exception {
        List<String> names = new ArrayList<>();
        try (PreparedStatement none = connection.prepareStatement("select * from vault where id = 0");
             ResultSet rows = none.executeQuery()) {
            ResultSetMetaData columns = rows.getMetaData();
            for (int column = 1; column <= columns.getColumnCount(); column++) {
                names.add(columns.getColumnName(column));
            }
        }
        return names;
    }

    static void read(Connection connection, String form, String name) throws Exception {
        try (PreparedStatement one = connection.prepareStatement("select " + name + " from vault where id = ?")) {
            one.setInt(1, 7);
            try (ResultSet rows = one.executeQuery()) {
                rows.next();
                Object value = rows.getObject(1);
                String type = value == null ? "null" : value.getClass().getSimpleName();
                String text = value instanceof byte[] bytes ? new String(bytes) : String.valueOf(value);
                System.out.println(form + "\t" + name + "\t" + type + "\t" + text);
            }
        }
    }
}
