//! To be written.

#[test]
fn an_instance_is_served_by_the_installed_binary() {
    let instance = crate::program::instance();
    assert!(instance.run(&["status"]).ok().contains("revision"));
}
