//! What is wrong gets a message that says what to do, and the right exit code.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::rig::{Emulator, Hub};

/// A wrong token, connector, channel, connection, option.
#[test]
fn wrong_arguments_are_named() {
    let Some(emulator) = Emulator::start() else { return };
    let hub = Hub::new("arguments", emulator.api());
    let (code, complaint) = hub.fails(&["connect", "github", "--user", "ada", "--token", "wrong"]);
    assert!(code == 1 && complaint.contains("not accepted"), "{code} {complaint}");
    let (code, complaint) = hub.fails(&["connect", "gitlab", "--user", "ada", "--token", "t"]);
    assert!(code != 0 && complaint.contains("gitlab") && complaint.contains("github"), "{code} {complaint}");
    let (code, complaint) =
        hub.fails(&["connect", "github", "--user", "ada", "--token", "t", "--option", "history_days=0"]);
    assert!(code != 0 && complaint.contains("history_days") && complaint.contains("3650"), "{code} {complaint}");
    let connection = hub.connect(&emulator);
    let (code, complaint) = hub.fails(&["enable", &connection, "acme/nothing"]);
    assert!(code == 1 && complaint.contains("acme/nothing") && complaint.contains("channels"), "{code} {complaint}");
    let (code, complaint) = hub.fails(&["channels", "con_999999"]);
    assert!(code == 1 && complaint.contains("con_999999"), "{code} {complaint}");
    let (code, _) = hub.fails(&["enable"]);
    assert_eq!(code, 2, "wrong usage");
}

/// Two processes on one database: the second one talks to the first if that serves.
#[test]
fn a_command_beside_a_server_goes_through_it() {
    let Some(emulator) = Emulator::start() else { return };
    let hub = Hub::new("beside", emulator.api());
    let connection = hub.connect(&emulator);
    let served = hub.serve();
    assert!(hub.ok(&["connections"]).contains(&connection));
    let (code, complaint) = hub.fails(&["serve"]);
    assert!(code == 1 && complaint.contains("in use"), "{code} {complaint}");
    served.kill();
    assert!(hub.ok(&["connections"]).contains(&connection));
}

/// A database that is no database, or cannot be written.
#[test]
fn an_unusable_database_is_named_and_left_alone() {
    let hub = Hub::new("database", "http://127.0.0.1:9");
    let file = hub.folder.join("hub.db");
    std::fs::write(&file, "this is no database, and it is somebody's").unwrap();
    let (code, complaint) = hub.fails(&["connections"]);
    assert!(
        code == 1 && complaint.contains("hub.db") && complaint.contains("not a usable database"),
        "{code} {complaint}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "this is no database, and it is somebody's");
    let hub = hub.with("CONNECTORS_DATABASE", "sqlite:/proc/hub.db");
    let (code, complaint) = hub.fails(&["connections"]);
    assert!(
        code == 1 && complaint.contains("/proc/hub.db") && complaint.contains("cannot be written"),
        "{code} {complaint}"
    );
}

/// A configuration with a mistake.
#[test]
fn a_mistake_in_the_configuration_is_named() {
    let hub = Hub::new("configuration", "http://127.0.0.1:9");
    std::fs::write(hub.folder.join("connectors.toml"), "listne = \"127.0.0.1:1\"\n").unwrap();
    let (code, complaint) = hub.fails(&["connections"]);
    assert!(code == 2 && complaint.contains("listne") && complaint.contains("connectors.toml"), "{code} {complaint}");
}

/// A service that answers everything with the same bytes, `count` times.
fn service(count: usize, response: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().take(count) {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            // A client that has seen enough closes the connection, which is no failure of this test.
            if stream.read(&mut request).is_ok() {
                stream.write_all(&response).unwrap_or_default();
            }
        }
    });
    url
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
        .into_bytes()
}

/// A service that answers 500, HTML, half of a body, endlessly, or with a redirect to a private address.
#[test]
fn what_a_broken_service_answers_is_named() {
    let html = "<!doctype html><title>Maintenance</title>";
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\nconnection: close\r\n\r\n{\"login\": \"al".to_vec();
    let huge = b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\nconnection: close\r\n\r\n{\"login\": \"".to_vec();
    let cases = [
        (answer("500 Internal Server Error", "", "{}"), "500"),
        (answer("200 OK", "content-type: text/html\r\n", html), "HTML in place of JSON"),
        (cut, "connection"),
        (huge, "more than"),
        (answer("302 Found", "location: http://169.254.169.254/latest\r\n", ""), "169.254.169.254"),
    ];
    for (number, (response, said)) in cases.into_iter().enumerate() {
        let hub = Hub::new(&format!("service-{number}"), &service(8, response));
        let (code, complaint) = hub.fails(&["connect", "github", "--user", "ada", "--token", "t"]);
        assert!(code == 1 && complaint.contains(said), "{said}: {code} {complaint}");
        assert!(hub.ok(&["connections", "--json"]).contains("[]"), "nothing was stored");
    }
}
