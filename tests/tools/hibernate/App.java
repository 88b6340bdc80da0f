import jakarta.persistence.*;
import java.math.BigDecimal;
import java.time.LocalDate;
import java.util.*;
import org.hibernate.Session;
import org.hibernate.SessionFactory;
import org.hibernate.annotations.JdbcTypeCode;
import org.hibernate.cfg.Configuration;
import org.hibernate.exception.ConstraintViolationException;
import org.hibernate.type.SqlTypes;

/** A library in Hibernate, which makes and alters its tables itself. Prints one line a step. */
public class App {
    enum State { HERE, LENT }

    @Entity(name = "Author")
    @Table(name = "author")
    public static class Author {
        @Id @GeneratedValue(strategy = GenerationType.SEQUENCE) Long id;
        @Column(unique = true, nullable = false) String name;
        @Version int version;
        @OneToMany(mappedBy = "author", cascade = CascadeType.ALL, orphanRemoval = true) @OrderBy("id") List<Book> books = new ArrayList<>();

        protected Author() {}
        Author(String name) { this.name = name; }
        Book book(String title, String price) {
            Book book = new Book(title, new BigDecimal(price));
            book.author = this;
            books.add(book);
            return book;
        }
    }

    @Entity(name = "Book")
    @Table(name = "book", indexes = @Index(name = "book_state", columnList = "state"))
    public static class Book {
        @Id @GeneratedValue(strategy = GenerationType.IDENTITY) Long id;
        @ManyToOne(fetch = FetchType.LAZY, optional = false) Author author;
        String title;
        @Column(precision = 8, scale = 2) BigDecimal price;
        @Enumerated(EnumType.STRING) State state = State.HERE;
        @JdbcTypeCode(SqlTypes.JSON) Map<String, Integer> facts;
        String[] tags = {};
        UUID shelf = new UUID(1, 2);
        LocalDate printed = LocalDate.of(1843, 9, 1);
        byte[] cover;
        @ManyToMany(cascade = CascadeType.PERSIST) Set<Subject> subjects = new LinkedHashSet<>();

        protected Book() {}
        Book(String title, BigDecimal price) { this.title = title; this.price = price; }
    }

    /** Subjects as they were before they had a mark. */
    @Entity(name = "OldSubject")
    @Table(name = "subject")
    public static class OldSubject {
        @Id String name;
    }

    @Entity(name = "Subject")
    @Table(name = "subject")
    public static class Subject {
        @Id String name;
        @Column(length = 8) String mark;

        protected Subject() {}
        Subject(String name) { this.name = name; }
    }

    static SessionFactory open(String schema, Class<?>... entities) {
        Configuration configuration = new Configuration();
        configuration.setProperty("hibernate.connection.url", "jdbc:postgresql://" + System.getenv("PGHOST") + ":"
            + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE"));
        configuration.setProperty("hibernate.connection.username", System.getenv("PGUSER"));
        configuration.setProperty("hibernate.connection.password", System.getenv().getOrDefault("PGPASSWORD", ""));
        configuration.setProperty("hibernate.hbm2ddl.auto", schema);
        configuration.setProperty("hibernate.hbm2ddl.halt_on_error", "true");
        configuration.setProperty("hibernate.jdbc.batch_size", "50");
        configuration.setProperty("hibernate.type.json_format_mapper", Facts.class.getName());
        for (Class<?> entity : entities) {
            configuration.addAnnotatedClass(entity);
        }
        return configuration.buildSessionFactory();
    }

    public static void main(String[] arguments) {
        open("update", OldSubject.class).close();
        System.out.println("made");
        open("update", Subject.class, Author.class, Book.class).close();
        System.out.println("altered");
        try (SessionFactory factory = open("validate", Subject.class, Author.class, Book.class)) {
            System.out.println("validated");
            long ada = write(factory);
            read(factory, ada);
            change(factory, ada);
            fail(factory, ada);
        }
    }

    static long write(SessionFactory factory) {
        return factory.fromTransaction(session -> {
            Author ada = new Author("Ada");
            Book notes = ada.book("Notes", "12.50");
            notes.facts = new TreeMap<>(Map.of("pages", 20));
            notes.tags = new String[] {"maths", "engines"};
            notes.cover = new byte[] {0, (byte) 255};
            notes.subjects.add(new Subject("computing"));
            notes.subjects.add(new Subject("poetry"));
            ada.book("Letters", "8.00");
            for (int number = 0; number < 250; number++) {
                ada.book("volume " + number, number + ".00");
            }
            session.persist(ada);
            session.flush();
            System.out.println("written " + ada.books.size() + " " + (notes.id > 0));
            return ada.id;
        });
    }

    static void read(SessionFactory factory, long id) {
        factory.inTransaction(session -> {
            Author ada = session.find(Author.class, id);
            Book notes = ada.books.get(0);
            System.out.println("loaded " + notes.price + " " + notes.facts + " " + Arrays.toString(notes.tags) + " " + notes.printed
                + " " + notes.shelf + " " + notes.state + " " + Arrays.toString(notes.cover) + " " + notes.subjects.size());
            System.out.println("joined " + session.createSelectionQuery("select b.title from Book b join b.subjects s join b.author a where s.name in :names and b.price > :price and a.name like :name group by b.title order by b.title", String.class)
                .setParameter("names", List.of("computing", "poetry")).setParameter("price", new BigDecimal("10")).setParameter("name", "A%").getResultList());
            System.out.println("fetched " + session.createSelectionQuery("from Book b join fetch b.author left join fetch b.subjects where b.state = :state order by b.id", Book.class)
                .setParameter("state", State.HERE).setFirstResult(0).getResultList().size());
            System.out.println("paged " + session.createSelectionQuery("select title from Book order by id desc", String.class).setFirstResult(10).setMaxResults(2).getResultList());
            Object[] sums = session.createSelectionQuery("select count(*), sum(price), max(title) from Book where author.id = :id", Object[].class).setParameter("id", id).getSingleResult();
            System.out.println("aggregated " + Arrays.toString(sums));
            System.out.println("native " + session.createNativeQuery("select count(*) from book where tags @> array[?1]::varchar[]", Long.class).setParameter(1, "maths").getSingleResult());
            var criteria = session.getCriteriaBuilder().createQuery(Book.class);
            var book = criteria.from(Book.class);
            criteria.where(session.getCriteriaBuilder().between(book.get("price"), new BigDecimal(1), new BigDecimal(3)));
            System.out.println("criteria " + session.createSelectionQuery(criteria).getResultList().size());
            try (var streamed = session.createSelectionQuery("from Book", Book.class).setFetchSize(100).getResultStream()) {
                System.out.println("streamed " + streamed.count());
            }
        });
    }

    static void change(SessionFactory factory, long id) {
        factory.inTransaction(session -> {
            Author ada = session.find(Author.class, id, LockModeType.PESSIMISTIC_WRITE);
            ada.books.get(1).state = State.LENT;
            ada.books.remove(2);
            ada.name = "Ada L.";
        });
        factory.inTransaction(session -> {
            int doubled = session.createMutationQuery("update Book set price = price * 2 where author.id = :id and state = 'HERE'").setParameter("id", id).executeUpdate();
            int gone = session.createMutationQuery("delete from Book b where b.price > 490 and not exists (select 1 from b.subjects)").executeUpdate();
            Author ada = session.find(Author.class, id);
            System.out.println("changed " + doubled + " " + gone + " " + ada.version + " " + ada.books.size());
        });
        factory.inTransaction(session -> {
            session.persist(new Author("lost"));
            session.flush();
            session.getTransaction().setRollbackOnly();
        });
        System.out.println("rolled back " + factory.fromSession(session -> session.createSelectionQuery("select count(*) from Author", Long.class).getSingleResult()));
    }

    static void fail(SessionFactory factory, long id) {
        try {
            factory.inTransaction(session -> session.persist(new Author("Ada L.")));
        } catch (ConstraintViolationException error) {
            System.out.println("refused " + error.getSQLState());
        }
        try (Session first = factory.openSession(); Session second = factory.openSession()) {
            Author mine = first.find(Author.class, id), theirs = second.find(Author.class, id);
            second.beginTransaction();
            theirs.name = "Ada K.";
            second.getTransaction().commit();
            first.beginTransaction();
            mine.name = "Ada B.";
            first.getTransaction().commit();
        } catch (OptimisticLockException error) {
            System.out.println("overtaken");
        }
        factory.inTransaction(session -> session.remove(session.find(Author.class, id)));
        System.out.println("left " + factory.fromSession(session -> session.createSelectionQuery("select count(*) from Book", Long.class).getSingleResult()));
    }

    /** Hibernate leaves JSON to a library; numbers by name need none. */
    public static class Facts implements org.hibernate.type.format.FormatMapper {
        public <T> T fromString(CharSequence text, org.hibernate.type.descriptor.java.JavaType<T> type, org.hibernate.type.descriptor.WrapperOptions options) {
            Map<String, Integer> facts = new TreeMap<>();
            for (String pair : text.toString().replaceAll("[{}\" ]", "").split(",")) {
                facts.put(pair.split(":")[0], Integer.valueOf(pair.split(":")[1]));
            }
            return type.getJavaTypeClass().cast(facts);
        }

        public <T> String toString(T value, org.hibernate.type.descriptor.java.JavaType<T> type, org.hibernate.type.descriptor.WrapperOptions options) {
            StringJoiner pairs = new StringJoiner(", ", "{", "}");
            ((Map<?, ?>) value).forEach((name, number) -> pairs.add("\"" + name + "\": " + number));
            return pairs.toString();
        }
    }
}
