//! Tables of other namespaces, and other users' rights, as C and C++ have them.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::common::Instance;
use crate::program;

/// An instance whose socket others can reach.
fn instance() -> Instance {
    let config =
        "[namespaces.main]\nreaders = ['user:61001']\n[namespaces.plant]\n[namespaces.desk]\n";
    let instance = program::configured(config);
    let open = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(instance.directory.path(), open).unwrap();
    instance
}

#[test]
fn tables_of_all_namespaces_and_what_others_may_not_see() {
    let instance = instance();
    let flags = [&["-std=c99"], program::SANITIZED].concat();
    let program = program::build("ffi/tests/c/namespaces.c", "namespaces", &flags);
    program::run(Command::new(program).env("SHMIRROR_SOCKET", instance.socket()));
}

#[test]
#[cfg_attr(not(cxx), ignore = "no C++ compiler")]
fn the_same_in_cpp() {
    let instance = instance();
    let flags = [&["-std=c++17"], program::SANITIZED].concat();
    let program = program::build("ffi/tests/cpp/namespaces.cpp", "namespaces_cpp", &flags);
    let told = program::run(Command::new(program).env("SHMIRROR_SOCKET", instance.socket()));
    assert_eq!(told, "passed\n");
}
