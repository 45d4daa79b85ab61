//! `[topic] key`: what is shipped is valid, and what it cannot be is told before a port is opened.

use testkit::check_config;

const SERVICE: &str = env!("CARGO_BIN_EXE_sample-service");

#[test]
fn topic_key_is_read_and_a_value_that_it_cannot_have_is_reported_with_its_place() {
    for (value, is_valid) in [("TOPIC_GOOD", true), ("TOPIC_BAD", false)] {
        let checked = check_config(SERVICE, &[("TOPIC_KEY", value)]);
        let said = String::from_utf8_lossy(&checked.stderr);
        assert_eq!(checked.status.success(), is_valid, "{value}: {said}");
        let place = said.contains("sample-service.tsk:") && said.contains("topic_word:");
        assert_eq!(place, !is_valid, "{value}: {said}");
    }
}
