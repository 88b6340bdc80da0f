"""Opens pgAdmin's tree of objects, each with its tabs, then its dashboards and its search. Prints each answer as a line of JSON."""

import json
import os
import sys
import types
import warnings
from importlib.util import find_spec

# pgAdmin reads the `config_local` beside this file.
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), *find_spec("pgadmin4").submodule_search_locations]
warnings.simplefilter("ignore")

import config
import pgadmin
from flask import template_rendered
from pgadmin.utils import PgAdminModule
from pgadmin.utils.driver.psycopg3 import cursor
from sqlalchemy import Engine, event

# How many objects of a kind are opened in a collection: the schema that has one of each, and two of all else.
OPENED_MAX = 2
SCHEMAS_MAX = 1
# Kinds that are not opened where they are listed. The system catalogue is asked for as schemas are. Of the databases, pgAdmin
# does not list the first that was made, which it takes for the server's own: that one is opened by itself.
CLOSED = {"catalog", "database"}
# How often an answer is asked for: each time waits for a moment itself.
POLLS_MAX = 1000
# What the tree and the tabs of an object ask.
ASKED = {"children", "nodes", "obj", "sql", "stats", "dependency", "dependent"}
# Of the dashboard, what is for another server, or no query.
LEFT_OUT = {"pgd", "static", "<int:sid>"}
# What counts the sessions and the work of the server, or names a connection: two answers have the same shape, not the same
# numbers.
COUNTING = {"stats", "dashboard", "initialize"}
CHARTS = {"chart_names": "session_stats,tps_stats,ti_stats,to_stats,bio_stats"}

# The wizard that rents servers needs the libraries of three clouds, and asks no database.
cloud = sys.modules["pgadmin.misc.cloud"] = types.ModuleType("pgadmin.misc.cloud")
cloud.blueprint = PgAdminModule("cloud", cloud.__name__, url_prefix="/misc/cloud")
# What a person types into the query tool.
QUERIES = [
    "select item, amount from orders where amount > 10 order by id",
    "update orders set status = status where id = 1 returning item",
    "explain (format json) select * from orders where id = 1",
    "select name, email from customers order by id",
    "drop table orders",
]


@event.listens_for(Engine, "connect")
def hasten(connection, _record):
    """pgAdmin makes its own SQLite file in forty steps, each of which would wait for the disk."""
    connection.execute("pragma synchronous = off")


class Watch:
    """Which templates pgAdmin renders for an answer, and what becomes of the statements that it sends."""

    def __init__(self, app):
        self.templates, self.statements = [], []
        template_rendered.connect(self.rendered, app)
        for kind in (cursor.DictCursor, cursor.AsyncDictCursor):
            kind.execute = self.around(kind.execute)

    def rendered(self, _app, template, **_context):
        self.templates += [template.filename.rpartition("/templates/")[2]] if template.filename.endswith(".sql") else []

    def around(self, execute):
        def watched(of, query, params=None, **rest):
            error = None
            try:
                return execute(of, query, params, **rest)
            except Exception as raised:
                error = str(raised).partition("\n")[0]
                raise
            finally:
                text = query.decode() if isinstance(query, bytes) else str(query)
                self.statements.append({"template": self.templates[-1] if self.templates else "", "error": error, "text": text})

        return watched

    def take(self):
        taken = {"templates": self.templates, "statements": self.statements}
        self.templates, self.statements = [], []
        return taken


def shape(value):
    """A value without its numbers and words; of a list, what stands in it at all."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    if isinstance(value, list):
        return sorted({json.dumps(shape(part), sort_keys=True) for part in value})
    return None


class Browser:
    def __init__(self):
        from pgAdmin4 import app

        app.config["PROPAGATE_EXCEPTIONS"] = False
        self.watch, self.client = Watch(app), app.test_client()
        self.rules, self.oids = {}, {}
        for rule in app.url_map.iter_rules():
            words = rule.rule.strip("/").split("/")
            asked = words[0] == "browser" and len(words) > 2 and words[2] in ASKED
            asked |= words[0] == "dashboard" and len(words) > 2 and words[1] not in LEFT_OUT
            if asked and "GET" in rule.methods:
                numbers = sum(word.startswith("<int:") for word in words)
                named = any(word.startswith("<") and not word.startswith("<int:") for word in words)
                self.rules.setdefault(words[0], []).extend([] if named else [(words[1], words[2], numbers, rule.rule)])

    def ask(self, name, address, method="get", **form):
        answer = getattr(self.client, method)(address, **form)
        body = answer.get_json(silent=True) if answer.is_json else answer.get_data(as_text=True)
        self.tell(name, address, answer.status_code, body)
        return body.get("data") if isinstance(body, dict) else body

    def tell(self, name, address, status, body):
        told = shape(body) if COUNTING & set(name.split("/")) and status == 200 else body
        said = {"name": name, "address": address, "status": status, "answer": told, **self.watch.take()}
        print(json.dumps(said, sort_keys=True, default=str), flush=True)

    def about(self, kind, ids):
        """Asks all that can be asked about an object or a collection; what `nodes` and `children` answered."""
        answers = {}
        for of, what, numbers, rule in sorted(self.rules["browser"]):
            if of == kind and numbers == len(ids):
                address = "/".join(str(ids.pop(0)) if word.startswith("<") else word for ids in [list(ids)] for word in rule.split("/"))
                answers[what] = self.ask(f"{kind}/{what}", address)
        return answers

    def collection(self, kind, parents):
        nodes = self.about(kind, parents).get("nodes")
        self.oids |= {node["label"]: node["_id"] for node in nodes or []}
        opened = [node for node in nodes or [] if node["_type"] not in CLOSED]
        for of in sorted({node["_type"] for node in opened}):
            for node in [node for node in opened if node["_type"] == of][: SCHEMAS_MAX if of == "schema" else OPENED_MAX]:
                self.node(of, [*parents, node["_id"]])

    def node(self, kind, ids):
        about = self.about(kind, ids)
        # To what is below it, a partition is the table.
        ids = [*ids[:-2], ids[-1]] if kind == "partition" else ids
        for child in about.get("children") or []:
            if child["_type"].startswith("coll-"):
                self.collection(child["_type"].removeprefix("coll-"), ids)
            else:
                self.node(child["_type"], [*ids, child["_id"]])


    def dashboard(self, database):
        for of, what, numbers, rule in sorted(self.rules["dashboard"]):
            if numbers in (1, 2):
                ids = ["1", str(database)]
                address = "/".join(ids.pop(0) if word.startswith("<") else word for word in rule.split("/"))
                self.ask(f"dashboard/{of}-{numbers}", address, query_string=CHARTS)

    def grid(self, name, place, begin):
        """What a grid of rows is filled with."""
        transaction = str(len(name) + 1000)
        self.ask(f"{name}/initialize", f"/sqleditor/initialize/{place[0]}/{transaction}/{place[1]}", "post", json={"dbname": os.environ["PGDATABASE"]})
        begin(transaction)
        for _ in range(POLLS_MAX):
            answer = self.client.get(f"/sqleditor/poll/{transaction}").get_json()
            if (answer.get("data") or {}).get("status") != "Busy":
                break
        data = answer.get("data") or {}
        told = {"status": data.get("status"), "rows": data.get("result"), "columns": data.get("colinfo")}
        self.tell(f"{name}/rows", "", 200, told)

    def view_data(self, kind, database, relation):
        path = f"3/{kind}/1/1/{database}/{relation}"
        begin = lambda transaction: self.ask(f"view_{kind}/start", f"/sqleditor/view_data/start/{transaction}")
        self.grid(f"view_{kind}", ("viewdata", path), begin)

    def query(self, number, database, sql):
        name = f"query_{number}"
        form = {"sql": sql, "explain_plan": None}
        begin = lambda transaction: self.ask(f"{name}/start", f"/sqleditor/query_tool/start/{transaction}", "post", json=form)
        self.grid(name, ("sqleditor", f"1/1/{database}"), begin)


def walk():
    browser = Browser()
    server = {"name": "shop", "host": os.environ["PGHOST"], "port": int(os.environ["PGPORT"]), "db": os.environ["PGDATABASE"]}
    rest = {"username": os.environ["PGUSER"], "connection_params": [{"name": "sslmode", "keyword": "sslmode", "value": "prefer"}]}
    browser.ask("server/create", "/browser/server/obj/1/", "post", json=server | rest)
    password = {"password": os.environ.get("PGPASSWORD", "")}
    database = browser.ask("server/connect", "/browser/server/connect/1/1", "post", json=password)["did"]
    browser.node("server", [1, 1])
    browser.node("database", [1, 1, database])
    browser.dashboard(database)
    for kind in ("all", "table"):
        browser.ask("search/objects", f"/search_objects/search/1/{database}", query_string={"text": "o", "type": kind})
    for kind, relation in [("table", "shelf"), ("view", "shown"), ("mview", "counted")]:
        browser.view_data(kind, database, browser.oids[relation])
    for number, sql in enumerate(QUERIES):
        browser.query(number, database, sql)


walk()
