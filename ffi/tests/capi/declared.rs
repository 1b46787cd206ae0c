//! What a header declares: the C compiler's preprocessor takes comments and macros away, and what is
//! left is cut into declarations, each as its tokens with one space between.

use std::collections::BTreeMap;
use std::path::Path;

use crate::program;

/// The declarations of a header, by name.
#[derive(Debug, Default, PartialEq)]
pub struct Declared {
    /// Prototypes, without `;`.
    pub functions: BTreeMap<String, String>,
    /// Prototypes of functions that the header itself defines.
    pub inlines: BTreeMap<String, String>,
    /// Opaque types, pointers to functions, structs and unions: the whole typedef.
    pub types: BTreeMap<String, String>,
    /// Members of the structs and unions, in order.
    pub members: BTreeMap<String, Vec<String>>,
    /// Each enum's enumerators, in order.
    pub enums: BTreeMap<String, Vec<String>>,
    /// Macros and their text, but those of the version.
    pub macros: BTreeMap<String, String>,
}

/// What the header at this path declares.
pub fn of(header: &Path) -> Declared {
    let mut declared = Declared::default();
    for line in preprocess(header, "-dM").lines() {
        let Some(macro_text) = line.strip_prefix("#define SHMIRROR_") else { continue };
        let (name, text) = macro_text.split_once(' ').unwrap_or((macro_text, ""));
        if !["VERSION_MAJOR", "VERSION_MINOR", "VERSION_PATCH", "H"].contains(&name) {
            declared.macros.insert(format!("SHMIRROR_{name}"), tokens(text).join(" "));
        }
    }
    for statement in statements(tokens(&preprocess(header, "-P"))) {
        declared.add(&statement);
    }
    declared
}

impl Declared {
    fn add(&mut self, statement: &[String]) {
        let text = statement.join(" ");
        let before = |token: &str| {
            statement.iter().position(|t| t == token).map(|at| statement[at - 1].clone())
        };
        match statement[0].as_str() {
            "typedef" => {
                let name = declarator(&statement[1..]);
                if statement[1] == "enum" {
                    let body = body(statement).split(|t| t == ",").filter(|e| !e.is_empty());
                    self.enums.insert(name, body.map(|e| e[0].clone()).collect());
                    return;
                }
                if statement.contains(&"{".to_owned()) {
                    let members = body(statement).split(|t| t == ";").filter(|m| !m.is_empty());
                    self.members.insert(name.clone(), members.map(declarator).collect());
                }
                self.types.insert(name, text);
            }
            "static" => {
                let head = text.split(" {").next().unwrap_or_default().to_owned();
                self.inlines.insert(before("(").expect("a function's name"), head);
            }
            _ => {
                let name = before("(").unwrap_or_else(|| panic!("not understood: {text}"));
                self.functions.insert(name, text);
            }
        }
    }
}

fn preprocess(header: &Path, option: &str) -> String {
    let standard = program::output().join("no-system-headers");
    std::fs::create_dir_all(&standard).unwrap();
    for name in ["stdbool.h", "stddef.h", "stdint.h"] {
        std::fs::write(standard.join(name), "").unwrap();
    }
    program::run(
        program::cc()
            .args(["-std=c99", "-E", option, "-nostdinc", "-x", "c", "-I"])
            .arg(standard)
            .arg(header),
    )
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut in_word = false;
    for c in text.chars() {
        let of_word = c.is_alphanumeric() || c == '_';
        match tokens.last_mut() {
            Some(word) if of_word && in_word => word.push(c),
            _ if c.is_whitespace() => {}
            _ => tokens.push(c.to_string()),
        }
        in_word = of_word;
    }
    tokens
}

/// Ends at `;` outside of braces, or at the brace that closes a function.
fn statements(tokens: Vec<String>) -> Vec<Vec<String>> {
    let (mut all, mut one, mut depth) = (Vec::new(), Vec::new(), 0);
    for token in tokens {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        let function = one.first().is_some_and(|first| first == "static");
        if depth == 0 && (token == ";" || token == "}" && function) {
            all.push(std::mem::take(&mut one));
        } else {
            one.push(token);
        }
    }
    assert!(one.is_empty() && depth == 0, "a declaration does not end: {one:?}");
    all
}

fn body(statement: &[String]) -> &[String] {
    let at = |token: &str| statement.iter().position(|t| t == token).expect("a body");
    &statement[at("{") + 1..at("}")]
}

/// The name that a declaration gives: of a pointer to a function it stands behind `( *`, else at the end.
fn declarator(declaration: &[String]) -> String {
    let declaration = match declaration.iter().rposition(|t| t == "}") {
        Some(body_end) => &declaration[body_end..],
        None => declaration,
    };
    let of_function = declaration.windows(3).find(|w| w[0] == "(" && w[1] == "*");
    match of_function {
        Some(window) => window[2].clone(),
        None => {
            let end = declaration.iter().position(|t| t == "[").unwrap_or(declaration.len());
            declaration[end - 1].clone()
        }
    }
}

#[test]
fn declarations_are_read() {
    let header = program::output().join("declared.h");
    let text = "#define SHMIRROR_A  (1 +2)\n/* c */typedef enum { A_X = 0, A_Y, } a;\n\
        typedef struct b b;\ntypedef struct { int32_t x[4]; const char *y; } c;\n\
        typedef int (*d)(void *);\nint f(d each, const b *);\n\
        static inline int g(int x)\n{\n    return (x);\n}\nint h(void);\n";
    std::fs::write(&header, text).unwrap();
    let declared = of(&header);
    let names = |map: &BTreeMap<String, String>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&declared.functions), ["f", "h"]);
    assert_eq!(declared.functions["f"], "int f ( d each , const b * )");
    assert_eq!(declared.inlines["g"], "static inline int g ( int x )");
    assert_eq!(names(&declared.types), ["b", "c", "d"]);
    assert_eq!(declared.members["c"], ["x", "y"]);
    assert_eq!(declared.enums["a"], ["A_X", "A_Y"]);
    assert_eq!(declared.macros["SHMIRROR_A"], "( 1 + 2 )");
}
