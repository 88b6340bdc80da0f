"""A library in SQLAlchemy, migrated by Alembic. Prints one line a step."""

import os
from decimal import Decimal

from alembic import command
from alembic.config import Config
from sqlalchemy import ForeignKey, Numeric, create_engine, exc, func, inspect, insert, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, ENUM, JSONB, insert as upsert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload
from sqlalchemy.types import Text


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list["Book"]] = relationship(back_populates="author", order_by="Book.id")


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    title: Mapped[str]
    price: Mapped[Decimal] = mapped_column(Numeric(8, 2))
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    facts: Mapped[dict | None] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(ENUM("lent", "here", name="book_state", create_type=False), default="here")
    author: Mapped[Author] = relationship(back_populates="books")


def migrate():
    config = Config()
    config.set_main_option("script_location", os.path.dirname(os.path.abspath(__file__)))
    command.upgrade(config, "head")


def use(driver):
    engine = create_engine(f"postgresql+{driver}://")
    with Session(engine) as session:
        ada = Author(name=f"Ada by {driver}")
        ada.books = [
            Book(title="Notes", price=Decimal("12.50"), tags=["maths", "engines"], facts={"pages": 20}),
            Book(title="Letters", price=Decimal("8"), facts=None),
        ]
        session.add(ada)
        session.commit()
        print(driver, "inserted", [book.title for book in ada.books], all(book.id for book in ada.books))

        found = session.scalars(select(Author).options(selectinload(Author.books)).where(Author.name == ada.name)).one()
        print(driver, "loaded", found.books[0].tags, found.books[0].facts, found.books[0].price)
        dear = select(Book.title).where(Book.price > 10, Book.tags.contains(["maths"]), Book.facts["pages"].as_integer() > 5)
        print(driver, "filtered", session.scalars(dear.where(Book.author_id == ada.id)).all())
        total = select(func.count(), func.sum(Book.price), func.max(Book.title)).where(Book.author_id == ada.id)
        print(driver, "aggregated", session.execute(total).one())

        session.execute(update(Book).where(Book.author_id == ada.id).values(price=Book.price * 2))
        with session.begin_nested() as savepoint:
            session.add(Book(title="lost", price=1, author=ada))
            session.flush()
            savepoint.rollback()
        try:
            with session.begin_nested():
                session.execute(insert(Book).values(title="below", price=-1, author_id=ada.id))
        except exc.IntegrityError as error:
            print(driver, "checked", error.orig.diag.constraint_name)
        session.commit()
        print(driver, "doubled", session.scalars(select(Book.price).where(Book.author_id == ada.id).order_by(Book.id)).all())

        session.execute(insert(Book), [{"title": f"volume {n}", "price": n, "author_id": ada.id} for n in range(250)])
        again = upsert(Author).values(name=ada.name).on_conflict_do_update(index_elements=["name"], set_={"name": ada.name})
        print(driver, "upserted", session.execute(again.returning(Author.id)).scalar_one() == ada.id)
        rows = session.execute(select(Book.id).where(Book.author_id == ada.id).execution_options(yield_per=100))
        print(driver, "streamed", sum(1 for _ in rows))
        locked = select(Book).where(Book.author_id == ada.id).order_by(Book.id).limit(1).with_for_update()
        session.delete(session.scalars(locked).one())
        session.commit()
        print(driver, "left", session.scalar(select(func.count()).select_from(Book).where(Book.author_id == ada.id)))
    engine.dispose()


def reflect():
    engine = create_engine("postgresql+psycopg://")
    inspector = inspect(engine)
    print("tables", sorted(set(inspector.get_table_names()) & {"author", "book"}), inspector.get_view_names())
    print("columns", [(column["name"], str(column["type"])) for column in inspector.get_columns("book")])
    print("keys", inspector.get_pk_constraint("book")["constrained_columns"], inspector.get_foreign_keys("book")[0]["options"])
    print("indexes", [index["name"] for index in inspector.get_indexes("book")], inspector.get_check_constraints("book"))
    print("enums", [enum["labels"] for enum in inspector.get_enums()], inspector.get_table_comment("book"))
    with engine.connect().execution_options(isolation_level="SERIALIZABLE") as connection:
        print("isolation", connection.scalar(text("show transaction isolation level")))
    elsewhere = create_engine("postgresql+psycopg://", connect_args={"options": "-csearch_path=pg_catalog"})
    with elsewhere.connect() as connection:
        print("path", connection.scalar(text("select count(*) > 0 from pg_class")))


migrate()
print("migrated")
use("psycopg")
use("psycopg2")
reflect()
