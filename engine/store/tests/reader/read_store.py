#!/usr/bin/env python3
"""read_store.py DATA_DIR TABLE prints the rows of a table as `shmirror dump TABLE` does; without TABLE,
the names of all tables, those in a namespace other than main with it before them.

A second reader of the store's format, written from FORMAT.md alone, to show that what stands there is
enough. The data directory, which no daemon may have, is only read. The key must be a key file.
"""

import fcntl
import os
import shutil
import sqlite3
import sys
import tempfile
from collections import namedtuple
from contextlib import ExitStack
from struct import unpack, unpack_from

import catalogue
import ciphers

ROW, LOG, STATE, CATALOGUE, DATA_KEY = 1, 2, 3, 4, 5
FORMAT = 1
WORD = (1 << 64) - 1

Image = namedtuple("Image", "table shape values")
Record = namedtuple("Record", "birth namespace table image")


class Refused(Exception):
    """What is wrong, and where."""


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: read_store.py DATA_DIR [TABLE]")
    directory, *names = sys.argv[1:]
    try:
        with Store(directory) as store:
            sys.stdout.reconfigure(encoding="utf-8")
            for name in names:
                sys.stdout.write(dump(*store.rows_of(name)))
            if not names:
                sys.stdout.writelines(t.full_name + "\n" for t in store.catalogue.tables.values())
    except (Refused, catalogue.Malformed, sqlite3.Error, OSError) as error:
        sys.exit(f"read_store.py: {directory}: {error}")


class Store:
    """A store in a data directory, opened: its keys, its state and its catalogue."""

    def __init__(self, directory):
        self.directory = directory
        # SQLite writes to a database in WAL mode when it opens it, so it gets a copy.
        self.copy = tempfile.TemporaryDirectory()
        path = os.path.join(self.copy.name, "store.db")
        with ExitStack() as files:
            if os.path.exists(os.path.join(directory, "lock")):
                lock = files.enter_context(open(os.path.join(directory, "lock"), "rb"))
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise Refused("a daemon has it")
            shutil.copyfile(os.path.join(directory, "store.db"), path)
            if os.path.exists(os.path.join(directory, "store.db-wal")):
                shutil.copyfile(os.path.join(directory, "store.db-wal"), path + "-wal")
        with open(path, "rb") as file:
            head = file.read(100)
        if len(head) < 100 or head[68:72] != b"shmr":
            raise Refused("store.db: not a store of shmirror")
        if int.from_bytes(head[60:64], "big") != FORMAT:
            raise Refused(f"store.db: format {int.from_bytes(head[60:64], 'big')}, expected {FORMAT}")
        self.database = sqlite3.connect(path)

    def __enter__(self):
        self.instance = self.meta("instance")
        self.keys = {}
        for slot, provider, wrapped in self.select("id, provider, wrapped FROM key_slot"):
            self.open_slot(slot, provider, wrapped)
        if not self.keys:
            raise Refused("key_slot: no slot")
        self.read_state()
        self.read_catalogue()
        return self

    def __exit__(self, *_):
        self.database.close()
        self.copy.cleanup()

    def select(self, sql, *parameters):
        return self.database.execute("SELECT " + sql, parameters)

    def meta(self, name):
        for (value,) in self.select("value FROM meta WHERE name = ?", name):
            return value
        raise Refused(f"meta: no {name}")

    def open_slot(self, slot, provider, wrapped):
        where = f"key_slot, id {slot}"
        if provider != "key-file":
            raise Refused(f"{where}: provider {provider}, expected key-file")
        key_id, key = read_key_file(os.path.join(self.directory, "key"))
        if wrapped[:8] != key_id:
            raise Refused(f"{where}: wrapped with key {wrapped[:8].hex()}, found {key_id.hex()}")
        _, _, body = self.open({0: (1, key)}, wrapped[8:], where, DATA_KEY, slot, 0)
        if len(body) != 40:
            raise Refused(f"{where}: {len(body)} bytes, expected 40")
        number, cipher = unpack_from("<II", body)
        if number in self.keys or cipher not in ciphers.OPEN:
            raise Refused(f"{where}: data key {number} of cipher {cipher}, which was not expected")
        self.keys[number] = cipher, body[8:]

    def open(self, keys, blob, where, kind, place, revision):
        """Table id, revision and body of a sealed value that must be of this place."""
        if len(blob) < 48 or len(blob) % 8:
            raise Refused(f"{where}: a sealed value of {len(blob)} bytes")
        version, cipher, zero, number = unpack_from("<BBHI", blob)
        if (version, zero) != (1, 0):
            raise Refused(f"{where}: seal of version {version}, {zero}, expected 1, 0")
        if number not in keys:
            raise Refused(f"{where}: sealed with data key {number}, which is not here")
        of, key = keys[number]
        if cipher != of:
            raise Refused(f"{where}: cipher {cipher}, expected {of}")
        text = ciphers.OPEN[cipher](key, blob[8:32], blob[32:48], blob[48:])
        if text is None:
            raise Refused(f"{where}: the seal does not open")
        if len(text) < 48:
            raise Refused(f"{where}: {len(text)} bytes, expected an identity")
        instance, its_kind, table, at, its_revision, form, zero = unpack_from("<16sIIQQII", text)
        found = instance, its_kind, at, form, zero
        expected = self.instance, kind, place, FORMAT, 0
        if found != expected or revision not in (None, its_revision):
            raise Refused(f"{where}: the seal is that of another place")
        if table and kind != ROW:
            raise Refused(f"{where}: table {table}, expected 0")
        return table, its_revision, text[48:]

    def read_state(self):
        where = "meta, state"
        _, revision, body = self.open(self.keys, self.meta("state"), where, STATE, 0, None)
        words = unpack(f"<{len(body) // 8}Q", body)
        if len(words) < 12 or len(words) != 12 + 2 * words[11] or words[0] != revision:
            raise Refused(f"{where}: {len(words)} words")
        self.newest, _, self.checkpoint, self.log_first, self.log_bytes = words[:5]
        self.catalogue_revision, self.rows, self.sum = words[6:9]
        self.sum_key = words[9:11]

    def read_catalogue(self):
        where = "meta, catalogue"
        sealed = self.meta("catalogue")
        _, _, body = self.open(self.keys, sealed, where, CATALOGUE, 0, self.catalogue_revision)
        length = unpack_from("<Q", body)[0]
        if length > len(body) - 8:
            raise Refused(f"{where}: archive of {length} bytes in {len(body)}")
        try:
            self.catalogue = catalogue.read(body[8 : 8 + length])
        except (catalogue.Malformed, UnicodeDecodeError) as error:
            raise Refused(f"{where}: {error}")

    def table(self, name):
        """The table of a name with or without its namespace; without it, main is meant."""
        namespace, dot, rest = name.partition(".")
        for parts in [(namespace, rest)] * bool(dot) + [(catalogue.MAIN, name)]:
            for table in self.catalogue.tables.values():
                if table.is_named(*parts):
                    return table
        raise Refused(f"no table {name}")

    def rows_of(self, name):
        """A table, and its rows in the shape that it has now."""
        table = self.table(name)
        images = [image for image in self.all_rows() if image.table == table.id]
        return table, brought_up_to_date(table, images)

    def all_rows(self):
        """The image of each row of all tables, as of the newest revision."""
        newest = self.read_tail()
        rows, total = 0, 0
        for slot, revision, blob in self.select("slot, revision, sealed FROM row"):
            where = f"row, slot {slot}"
            table, _, body = self.open(self.keys, blob, where, ROW, slot, revision)
            rows, total = rows + 1, total + siphash(self.sum_key, slot, revision) & WORD
            if slot not in newest:
                shape, columns, var = unpack_from("<IIQ", body)
                values, end = read_image(body, 16, columns, var, where)
                if end != len(body):
                    raise Refused(f"{where}: {len(body)} bytes, expected {end}")
                newest[slot] = Image(table, shape, values)
        if (rows, total) != (self.rows, self.sum):
            raise Refused(f"table row: {rows} rows that are not the {self.rows} last written")
        return [image for image in newest.values() if image and image.table in self.catalogue.tables]

    def read_tail(self):
        """The newest image of each birth that the log mentions after the checkpoint; None for a row
        that is gone. All groups are read, so that a change in any is found."""
        newest, expected, sealed = {}, self.newest, 0
        groups = self.select(
            "first_revision, last_revision, at, sealed FROM commit_log ORDER BY first_revision DESC"
        )
        for first, last, at, blob in groups:
            where = f"commit_log, first_revision {first}"
            _, _, body = self.open(self.keys, blob, where, LOG, first, last)
            if last != expected or first > last:
                raise Refused(f"{where}: ends at revision {last}, expected {expected}")
            expected, sealed = first - 1, sealed + len(blob)
            if unpack_from("<q", body)[0] != at:
                raise Refused(f"{where}: another time is sealed")
            if first > self.checkpoint:
                for record in reversed(list(records(body, first, last, where))):
                    self.check_namespace(record, where)
                    newest.setdefault(record.birth, record.image)
        if (expected + 1, sealed) != (self.log_first, self.log_bytes):
            raise Refused(f"commit_log: begins at {expected + 1}, expected {self.log_first}")
        return newest

    def check_namespace(self, record, where):
        """A table stays in the namespace that it was made in."""
        table = self.catalogue.tables.get(record.table)
        if not table:
            return
        expected = self.catalogue.namespaces[catalogue.fold(table.namespace)]
        if record.namespace != expected:
            found = f"a record of namespace {record.namespace}"
            raise Refused(f"{where}: {found}, expected {expected} of {table.full_name}")


def read_key_file(path):
    """Id and key."""
    names = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.strip().startswith("#"):
                name, _, value = line.partition("=")
                names[name.strip()] = value.strip()
    if names.get("version") != "1" or len(names) != 3:
        raise Refused(f"{path}: expected version = 1, id and key")
    return bytes.fromhex(names["id"]), bytes.fromhex(names["key"])


def records(body, first, last, where):
    """The row records of a group; one of a deleted row has no image."""
    at = 8
    while at < len(body):
        length, kind, operation = unpack_from("<IHB", body, at)
        revision, table, shape, birth = unpack_from("<QIIQ", body, at + 16)
        columns, key_columns, key_var, row_var, namespace, zero = unpack_from("<HHIIHH", body, at + 72)
        if length < 88 or length % 8 or at + length > len(body) or not first <= revision <= last:
            raise Refused(f"{where}: a record of {length} bytes and revision {revision}")
        if zero:
            raise Refused(f"{where}: a record that ends in {zero}, expected 0")
        if kind == 1:
            image = None
            if operation != 3:
                start = at + 88 + 8 * (-(-columns // 64) + image_words(key_columns, key_var))
                values, end = read_image(body, start, columns, row_var, where)
                if end > at + length:
                    raise Refused(f"{where}: a record of {length} bytes is too short")
                image = Image(table, shape, values)
            yield Record(birth, namespace, table, image)
        at += length


def image_words(columns, var):
    return -(-columns // 16) + columns + -(-var // 8)


def read_image(body, at, columns, var, where):
    """The values of a row image, and where it ends."""
    end = at + 8 * image_words(columns, var)
    if end > len(body):
        raise Refused(f"{where}: an image of {columns} columns and {var} bytes is too long")
    cells = at + 8 * -(-columns // 16)
    bytes_at = cells + 8 * columns
    values = []
    for column in range(columns):
        tag = body[at + column // 2] >> 4 * (column % 2) & 15
        cell = cells + 8 * column
        if tag == 0:
            values.append(None)
        elif tag in (1, 2):
            values.append(unpack_from("<q" if tag == 1 else "<d", body, cell)[0])
        elif tag in (3, 4):
            offset, length = unpack_from("<II", body, cell)
            if offset + length > var:
                raise Refused(f"{where}: column {column} ends at {offset + length} of {var} bytes")
            data = body[bytes_at + offset : bytes_at + offset + length]
            values.append(data.decode() if tag == 3 else data)
        else:
            raise Refused(f"{where}: column {column} has storage class {tag}")
    return values, end


def brought_up_to_date(table, images):
    """Values of each row, one for each column that the table has now."""
    rows, old = [], []
    for image in images:
        (rows if image.shape == table.shape else old).append(image)
    rows = [image.values for image in rows]
    if old:
        # Columns that the old shape lacks take their DEFAULT, or are computed: SQLite does both.
        database = sqlite3.connect(":memory:")
        database.execute("PRAGMA ignore_check_constraints = ON")
        database.execute(table.sql)
        rowid = free_rowid(table)
        sql_name = lambda column: rowid if column.hidden else quoted(column.name)
        for image in old:
            if image.shape not in table.past_shapes:
                raise Refused(f"table {table.full_name}: a row of shape {image.shape}, which is unknown")
            held = dict(zip((id for id, _ in table.past_shapes[image.shape]), image.values))
            given = [c for c in table.columns if c.id in held and c.generated == "no"]
            names = ", ".join(map(sql_name, given))
            marks = ", ".join("?" * len(given))
            values = [held[column.id] for column in given]
            database.execute(f"INSERT INTO {quoted(table.name)} ({names}) VALUES ({marks})", values)
        names = ", ".join(map(sql_name, table.columns))
        rows += database.execute(f"SELECT {names} FROM {quoted(table.name)}")
        database.close()
    return sorted(rows, key=lambda row: key_order(table, row))


def free_rowid(table):
    """A name of the rowid that no column has taken."""
    taken = {column.name.lower() for column in table.columns if not column.hidden}
    return next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), None)


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def key_order(table, row):
    """What SQLite compares by: numbers come before TEXT, TEXT before BLOB."""
    parts = []
    for index in table.key_columns:
        value, collation = row[index], table.columns[index].collation
        if isinstance(value, str):
            if collation == "rtrim":
                value = value.rstrip(" ")
            value = value.encode()
            if collation == "nocase":
                value = value.lower()  # bytes: ASCII letters only
            parts.append((1, value))
        else:
            parts.append((2 if isinstance(value, bytes) else 0, value))
    return parts


def siphash(key, *words):
    """SipHash-2-4 of words as bytes (https://www.aumasson.jp/siphash/siphash.pdf)."""
    v = [
        key[0] ^ 0x736F6D6570736575,
        key[1] ^ 0x646F72616E646F6D,
        key[0] ^ 0x6C7967656E657261,
        key[1] ^ 0x7465646279746573,
    ]

    def turn(x, bits):
        return (x << bits | x >> 64 - bits) & WORD

    def rounds(count):
        a, b, c, d = v
        for _ in range(count):
            a, c = a + b & WORD, c + d & WORD
            b, d = turn(b, 13) ^ a, turn(d, 16) ^ c
            a, c = turn(a, 32) + d & WORD, c + b & WORD
            b, d = turn(b, 17) ^ c, turn(d, 21) ^ a
            c = turn(c, 32)
        v[:] = a, b, c, d

    for word in (*words, len(words) * 8 << 56):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def dump(table, rows):
    shown = [(i, json_text(c.name)) for i, c in enumerate(table.columns) if not c.hidden]
    objects = ("{" + ",".join(f"{name}:{json(row[i])}" for i, name in shown) + "}" for row in rows)
    return "[" + ",\n ".join(objects) + "]\n"


def json(value):
    if value is None:
        return "null"
    if isinstance(value, bytes):
        return f'"0x{value.hex()}"'
    if isinstance(value, str):
        return json_text(value)
    if isinstance(value, int):
        return str(value)
    if value in (float("inf"), float("-inf")):
        return f'"{value}"'
    # Python writes exponents with a sign and two digits or more.
    digits, mark, exponent = repr(value).partition("e")
    return digits + mark + (str(int(exponent)) if mark else "")


def json_text(text):
    short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    other = lambda c: f"\\u{ord(c):04x}" if c < " " or c == "\x7f" else c
    return '"' + "".join(short.get(c) or other(c) for c in text) + '"'


if __name__ == "__main__":
    main()
