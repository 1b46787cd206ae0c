//! Real values, of which the seeds are made.

use shmirror_shm::catalogue::{
    Affinity, Catalogue, Collation, ColumnDef, Generated, KeyKind, ObjectKind, PastShape,
    SchemaObject, TableDef,
};
use shmirror_shm::image::Image;
use shmirror_shm::record::{Operation, RecordHeader, RowRecord, encode_schema};
use shmirror_shm::request::{Action, Change, OnConflict, Request, ResultSet, SqlRequest};
use shmirror_shm::value::Value;
use shmirror_shm::wire::{Answer, Call, RefuseCode, Seen};

fn column(id: u32, name: &str, declared: &str, key_position: u16) -> ColumnDef {
    ColumnDef {
        id,
        name: name.into(),
        decl_type: declared.into(),
        affinity: Affinity::of_declared(declared),
        not_null: key_position > 0,
        default_sql: (declared == "REAL").then(|| "0.0".into()),
        key_position,
        generated: if declared == "NUMERIC" { Generated::Stored } else { Generated::No },
        hidden: name == "rowid",
        collation: if declared == "TEXT" { Collation::NoCase } else { Collation::Binary },
    }
}

fn table(id: u32, namespace: &str, name: &str, key: KeyKind, columns: Vec<ColumnDef>) -> TableDef {
    let mut key_columns: Vec<u16> =
        (0..columns.len() as u16).filter(|i| columns[usize::from(*i)].key_position > 0).collect();
    key_columns.sort_by_key(|i| columns[usize::from(*i)].key_position);
    TableDef {
        id,
        namespace: namespace.into(),
        name: name.into(),
        shape: 2,
        sql: format!("CREATE TABLE {name}(…)"),
        key,
        key_columns,
        columns,
        without_rowid: key == KeyKind::Columns,
        strict: false,
        past_shapes: vec![PastShape { shape: 1, columns: vec![(1, "id".into())] }],
    }
}

/// Tables in two namespaces, with each kind of key.
pub fn catalogue() -> Catalogue {
    let mut all = Catalogue { schema_version: 7, next_table_id: 4, ..Default::default() };
    all.add_namespace("plant");
    all.tables = vec![
        table(
            1,
            "main",
            "pump",
            KeyKind::Integer,
            vec![
                column(1, "id", "INTEGER", 1),
                column(2, "name", "TEXT", 0),
                column(3, "flow", "REAL", 0),
            ],
        ),
        table(
            2,
            "plant",
            "pid",
            KeyKind::Columns,
            vec![
                column(1, "n", "NUMERIC", 2),
                column(2, "site", "TEXT", 1),
                column(3, "raw", "BLOB", 0),
            ],
        ),
        table(
            3,
            "plant",
            "log",
            KeyKind::Rowid,
            vec![column(1, "line", "", 0), column(2, "rowid", "INTEGER", 1)],
        ),
    ];
    all.objects = vec![SchemaObject {
        kind: ObjectKind::Index,
        namespace: "plant".into(),
        name: "by_site".into(),
        table: "pid".into(),
        sql: "CREATE INDEX by_site ON pid(site)".into(),
    }];
    all
}

/// Rows of every storage class.
pub fn rows() -> Vec<Vec<Value>> {
    vec![
        vec![1.into(), "feed pump".into(), 12.5.into()],
        vec![2i64.into(), Value::Null, f64::INFINITY.into()],
        vec![i64::MIN.into(), "äß 温度 🜂".into(), (-0.0).into()],
        vec![7.into(), "north".into(), Value::Blob(vec![0, 255, 7, 9, 1, 2, 3, 4, 5])],
        vec!["12".into(), 5.into()],
        vec![],
        (0..20).map(|i: i64| if i % 3 == 0 { Value::Null } else { i.into() }).collect(),
    ]
}

/// The image of a row.
pub fn image(row: &[Value]) -> Image {
    Image::encode(row.iter().map(Value::as_ref))
}

/// The transactions of a group that begins at `revision`: four revisions, a schema record among them.
pub fn records(revision: u64) -> Vec<u64> {
    let origin = RecordHeader {
        at_us: 1_386_018_900_000_001,
        uid: 1000,
        pid: 42,
        lane: 0xABCD,
        ticket: 3,
        namespace: 1,
        ..Default::default()
    };
    let mut out = Vec::new();
    let archive = catalogue().part(1).to_bytes().unwrap_or_default();
    encode_schema(&archive, 2, RecordHeader { revision, ..origin }, &mut out);
    let key = image(&["north".into(), 7.into()]);
    let row = image(&rows()[3]);
    for (i, operation) in
        [Operation::Insert, Operation::Update, Operation::Delete].into_iter().enumerate()
    {
        RowRecord {
            operation,
            table: (2, 2),
            birth: 9,
            revision: revision + 1 + i as u64,
            origin,
            changed: &[0b101],
            key: key.as_ref(),
            row: (operation != Operation::Delete).then_some(row.as_ref()),
            columns: 3,
        }
        .encode(&mut out);
    }
    out
}

/// Each kind of request.
pub fn requests() -> Vec<Request> {
    let change = |action| Change { table: "plant.pid".into(), action };
    vec![
        Request::Transaction(vec![
            change(Action::Insert {
                columns: vec!["site".into(), "n".into(), "raw".into()],
                rows: rows().into_iter().filter(|row| row.len() == 3).collect(),
                on_conflict: OnConflict::Update,
                if_revision: None,
            }),
            change(Action::Update {
                key: vec!["north".into(), 7.into()],
                columns: vec!["raw".into()],
                values: vec![Value::Blob(vec![1; 40])],
                if_revision: Some(12),
            }),
            change(Action::Delete { key: vec![3.into()], if_revision: None }),
        ]),
        Request::Transaction(vec![]),
        Request::Sql(SqlRequest {
            sql: "INSERT INTO plant.pid VALUES(?1, ?2, NULL) RETURNING *".into(),
            params: vec!["north".into(), 8.into()],
            want_rows: true,
        }),
    ]
}

/// Each kind of call.
pub fn calls() -> Vec<Call> {
    vec![
        Call::Segment("plant".into()),
        Call::Lane,
        Call::Notify(vec![1, 2, 3]),
        Call::RetireLane(0xABCD),
        Call::Settled { lane: 0xABCD, ticket: 3 },
        Call::History { from: 1, namespace: "plant".into(), tables: vec![2], max_bytes: 4 << 20 },
        Call::Query(SqlRequest {
            sql: "SELECT 1".into(),
            params: rows()[0].clone(),
            want_rows: true,
        }),
        Call::Backup("/var/backups/store.db".into()),
        Call::RotateKey(Some("AES-256-GCM".into())),
    ]
}

/// Each kind of answer.
pub fn answers() -> Vec<Answer> {
    vec![
        Answer::Welcome {
            instance: [7; 16],
            name: "default".into(),
            generation: 3,
            version: "0.1.0".into(),
            pid: 42,
            revision: 99,
            namespaces: vec![
                Seen { id: 0, name: "main".into(), writable: false },
                Seen { id: 1, name: "plant".into(), writable: true },
            ],
        },
        Answer::Lane { lane: 0xABCD, bytes: 1 << 20 },
        Answer::Settled(Some(4)),
        Answer::Rows {
            revision: 9,
            sets: vec![ResultSet { columns: vec!["a".into(), "b".into()], rows: rows() }],
        },
        Answer::Text("{\"revision\":9}".into()),
        Answer::Refused { code: RefuseCode::UnknownTable, message: "no table \"x\"".into() },
    ]
}
