"""A library in Django: its own migrations, and those of Django's applications. Prints one line a step."""

import sys

import django
from django.conf import settings
from django.core.management import call_command

database = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": "shop",
    "HOST": "127.0.0.1",
    "OPTIONS": {"assume_role": None, "server_side_binding": "server" in sys.argv},
}
settings.configure(
    DATABASES={"default": database},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "library"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.models import Group, User  # noqa: E402
from django.db import IntegrityError, connection, transaction  # noqa: E402
from django.db.models import Avg, Count, F, Q  # noqa: E402
from library.models import Author, Book  # noqa: E402

call_command("migrate", verbosity=0)
print("migrated", connection.introspection.django_table_names(only_existing=True) != [])

ada, _ = Author.objects.get_or_create(name="Ada")
Book.objects.bulk_create(Book(author=ada, title=f"volume {n}", price=n, facts={"n": n}) for n in range(300))
print("filtered", list(Book.objects.filter(Q(price__lt=3) | Q(title__icontains="e 299"), author__name="Ada").order_by("id").values_list("title", flat=True)))
print("aggregated", Book.objects.aggregate(Count("id"), Avg("price")), Book.objects.filter(facts__n__gte=298).count())
Book.objects.filter(price__gte=290).update(price=F("price") + 1)
print("updated", Book.objects.order_by("-price").values_list("price", flat=True).first())
print("prefetched", [author.books.count() for author in Author.objects.prefetch_related("books").annotate(n=Count("books"))])

with transaction.atomic():
    try:
        with transaction.atomic():
            Author.objects.create(name="Ada")
    except IntegrityError as error:
        print("unique", error.__cause__.diag.constraint_name is not None)
    locked = Book.objects.select_for_update(skip_locked=True).order_by("id").first()
    locked.delete()
print("iterated", sum(1 for _ in Book.objects.order_by("id").iterator(chunk_size=50)))

user = User.objects.create_user("grace", password="compilers are fun")
user.groups.add(Group.objects.create(name="navy"))
print("user", User.objects.get(username="grace").check_password("compilers are fun"), user.groups.count())
with connection.cursor() as cursor:
    cursor.execute("select count(*) from library_book where price > %s", [100])
    print("raw", cursor.fetchone())
print("deleted", Book.objects.filter(price__gt=100).delete()[0])
with connection.cursor() as cursor:
    columns = connection.introspection.get_table_description(cursor, "library_book")
    print("inspected", [column.name for column in columns], sorted(connection.introspection.get_constraints(cursor, "library_book"))[:1])
call_command("makemigrations", "--check", "--dry-run", verbosity=0)
