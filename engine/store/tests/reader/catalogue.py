"""The catalogue out of its archive (rkyv 0.8): bytes go in, namespaces and tables come out. Every place,
length and number is looked at before it is believed.
"""

from collections import namedtuple
from struct import unpack_from

Catalogue = namedtuple("Catalogue", "namespaces tables objects")
Column = namedtuple(
    "Column",
    "id name decl_type affinity not_null default_sql key_position generated hidden collation",
)
SchemaObject = namedtuple("SchemaObject", "kind namespace name table sql")
KEYS = ("integer", "columns", "rowid")
AFFINITIES = ("blob", "text", "numeric", "integer", "real")
GENERATED = ("no", "virtual", "stored")
COLLATIONS = ("binary", "nocase", "rtrim")
KINDS = ("index", "view", "trigger")
MAIN = "main"
ROOT = 40


def fold(name):
    """ASCII letters without case, as names compare."""
    return "".join(c.lower() if c < "\x80" else c for c in name)


class Table(
    namedtuple(
        "Table",
        "id namespace name shape sql key key_columns columns without_rowid strict past_shapes",
    )
):
    @property
    def full_name(self):
        return self.name if fold(self.namespace) == MAIN else f"{self.namespace}.{self.name}"

    def is_named(self, namespace, name):
        return (fold(self.namespace), fold(self.name)) == (fold(namespace), fold(name))


class Malformed(Exception):
    pass


class Archive:
    def __init__(self, data):
        self.data = data

    def number(self, form, at):
        size = {"B": 1, "H": 2, "I": 4, "i": 4, "Q": 8}[form]
        if at < 0 or at % size or at + size > len(self.data):
            raise Malformed(f"archive of {len(self.data)} bytes: {size} bytes at {at}")
        return unpack_from("<" + form, self.data, at)[0]

    def u16(self, at):
        return self.number("H", at)

    def u32(self, at):
        return self.number("I", at)

    def one_of(self, names, at):
        found = self.number("B", at)
        if found >= len(names):
            raise Malformed(f"archive: {found} at {at}, expected less than {len(names)}")
        return names[found]

    def flag(self, at):
        return self.one_of((False, True), at)

    def string(self, at):
        self.number("I", at + 4)
        if self.data[at] & 0xC0 == 0x80:
            length = self.u32(at)
            length = (length & 0x3F) | (length >> 8) << 6
            start = at + self.number("i", at + 4)
        else:
            start, end = at, self.data.find(b"\xff", at, at + 8)
            length = end - at if end >= 0 else 8
        if start < 0 or start + length > len(self.data):
            raise Malformed(f"archive: a string of {length} bytes at {start}")
        return self.data[start : start + length].decode()

    def option(self, at, read):
        return read(at + 4) if self.flag(at) else None

    def vector(self, at, size, read):
        start, length = at + self.number("i", at), self.u32(at + 4)
        if length and (start < 0 or start + length * size > len(self.data)):
            raise Malformed(f"archive: {length} elements of {size} bytes at {start}")
        return [read(start + size * i) for i in range(length)]

    def column(self, at):
        return Column(
            id=self.u32(at),
            name=self.string(at + 4),
            decl_type=self.string(at + 12),
            affinity=self.one_of(AFFINITIES, at + 20),
            not_null=self.flag(at + 21),
            default_sql=self.option(at + 24, self.string),
            key_position=self.u16(at + 36),
            generated=self.one_of(GENERATED, at + 38),
            hidden=self.flag(at + 39),
            collation=self.one_of(COLLATIONS, at + 40),
        )

    def past_shape(self, at):
        columns = self.vector(at + 4, 12, lambda at: (self.u32(at), self.string(at + 4)))
        return self.u32(at), columns

    def table(self, at):
        return Table(
            id=self.u32(at),
            namespace=self.string(at + 4),
            name=self.string(at + 12),
            shape=self.u32(at + 20),
            sql=self.string(at + 24),
            key=self.one_of(KEYS, at + 32),
            key_columns=self.vector(at + 36, 2, self.u16),
            columns=self.vector(at + 44, 44, self.column),
            without_rowid=self.flag(at + 52),
            strict=self.flag(at + 53),
            past_shapes=dict(self.vector(at + 56, 12, self.past_shape)),
        )

    def schema_object(self, at):
        texts = [self.string(at + place) for place in (4, 12, 20, 28)]
        return SchemaObject(self.one_of(KINDS, at), *texts)

    def namespace(self, at):
        return fold(self.string(at + 4)), self.u16(at)


def read(data):
    """Numbers of the namespaces by their folded names, tables by their ids, and objects."""
    archive = Archive(data)
    root = len(data) - ROOT
    namespaces = {MAIN: 0} | dict(archive.vector(root + 16, 12, archive.namespace))
    tables = archive.vector(root + 24, 64, archive.table)
    objects = archive.vector(root + 32, 36, archive.schema_object)
    for named in (*tables, *objects):
        if fold(named.namespace) not in namespaces:
            raise Malformed(f"{named.name}: namespace {named.namespace} is not in the catalogue")
    return Catalogue(namespaces, {table.id: table for table in tables}, objects)
