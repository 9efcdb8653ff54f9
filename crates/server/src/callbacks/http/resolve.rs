//! Looks up names so that only public addresses are connected to.
//!
//! Connections go to the very addresses that were checked: a name that changes its mind between
//! check and connection gains nothing. Of a mixed answer none is used. Addresses that stand in the
//! URL are not looked up; for those see [`refusal_of_literal`].

use crate::address;
use std::{future::Future, io, net::SocketAddr, pin::Pin, sync::Arc};
use url::Url;

pub(super) type LookingUp = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Looks names up.
pub(super) struct Names {
    look_up: Arc<dyn Fn(String, u16) -> LookingUp + Send + Sync>,
    public_only: bool,
}

impl Names {
    /// As the system looks up.
    pub(super) fn of_the_system(public_only: bool) -> Names {
        let look_up = |name: String, port| -> LookingUp {
            Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
        };
        Names { look_up: Arc::new(look_up), public_only }
    }

    /// The addresses of a name, or why none is used.
    pub(super) async fn look_up(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let addresses = (self.look_up)(name.to_owned(), port).await;
        let addresses =
            addresses.map_err(|error| format!("the host {name} cannot be looked up: {error}"))?;
        let refusal = |address: &SocketAddr| address::refusal(name, address.ip());
        match addresses.iter().find_map(refusal).filter(|_| self.public_only) {
            Some(refusal) => Err(refusal),
            None => Ok(addresses),
        }
    }
}

/// Why the address that stands in a URL is not connected to; none if it may be, or if there is none.
pub(super) fn refusal_of_literal(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    address::refusal(host, address::literal(host)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// Answers each look-up with the next of these lists, and tells what may be connected to.
    async fn check(answers: &'static [&'static [&'static str]]) -> String {
        let asked = AtomicUsize::new(0);
        let look_up = move |_, port| -> LookingUp {
            let answer = answers[asked.fetch_add(1, Relaxed)];
            let address = |ip: &&str| SocketAddr::new(ip.parse().unwrap(), port);
            let addresses = answer.iter().map(address).collect();
            Box::pin(async move { Ok(addresses) })
        };
        let names = Names { look_up: Arc::new(look_up), public_only: true };
        let mut told = String::new();
        for _ in answers {
            told += &match names.look_up("app.example", 80).await {
                Ok(addresses) => format!("{addresses:?}\n"),
                Err(error) => format!("{error}\n"),
            };
        }
        told
    }

    /// The parser of URLs unfolds them; what it leaves as a name is looked up, and then checked.
    #[test]
    fn however_an_address_is_written_in_a_url_it_is_known() {
        let hosts = "127.0.0.1 127.1 127.0.1 0x7f.1 0177.0.0.1 2130706433 0x7f000001 127.0.0.1. \
            127.0.0.1.. 0 １２７.０.０.１ ①②⑦.0.0.1 127%2E0.0.1 169.254.169.254 127.0.0.256 10.0.0.08 \
            [::1] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] \
            [64:ff9b::10.0.0.1] [::1%25eth0] [example.com] [127.0.0.1] localhost localhost. \
            app.example 8.8.8.8 0x08080808 [2606:4700::1111]";
        let line = |host: &str| {
            let url = format!("http://{host}:8080/cb?a=b");
            let told = match Url::parse(&url) {
                Err(error) => format!("no URL: {error}"),
                Ok(parsed) => {
                    let refusal = refusal_of_literal(&parsed);
                    let refusal = refusal.as_deref().and_then(|text| text.split(", and ").next());
                    format!("{} {}", parsed.host_str().unwrap(), refusal.unwrap_or("-"))
                }
            };
            format!("{host:<20} {told}\n")
        };
        expect![[r#"
            127.0.0.1            127.0.0.1 the callback URL's host 127.0.0.1 is a loopback address
            127.1                127.0.0.1 the callback URL's host 127.0.0.1 is a loopback address
            127.0.1              127.0.0.1 the callback URL's host 127.0.0.1 is a loopback address
            0x7f.1               127.0.0.1 the callback URL's host 127.0.0.1 is a loopback address
            0177.0.0.1           127.0.0.1 the callback URL's host 127.0.0.1 is a loopback address
            2130706433           127.0.0.1 the callback URL's host 127.0.0.1 is a loopback address
            0x7f000001           127.0.0.1 the callback URL's host 127.0.0.1 is a loopback address
            127.0.0.1.           127.0.0.1 the callback URL's host 127.0.0.1 is a loopback address
            127.0.0.1..          127.0.0.1.. -
            0                    0.0.0.0 the callback URL's host 0.0.0.0 is an address of this host
            １２７.０.０.１            127.0.0.1 the callback URL's host 127.0.0.1 is a loopback address
            ①②⑦.0.0.1            127.0.0.1 the callback URL's host 127.0.0.1 is a loopback address
            127%2E0.0.1          127.0.0.1 the callback URL's host 127.0.0.1 is a loopback address
            169.254.169.254      169.254.169.254 the callback URL's host 169.254.169.254 is a link-local address (where clouds keep secrets)
            127.0.0.256          no URL: invalid IPv4 address
            10.0.0.08            no URL: invalid IPv4 address
            [::1]                [::1] the callback URL's host ::1 is a loopback address
            [0:0:0:0:0:0:0:1]    [::1] the callback URL's host ::1 is a loopback address
            [::ffff:127.0.0.1]   [::ffff:7f00:1] the callback URL's host ::ffff:127.0.0.1 is a loopback address
            [::ffff:7f00:1]      [::ffff:7f00:1] the callback URL's host ::ffff:127.0.0.1 is a loopback address
            [::127.0.0.1]        [::7f00:1] the callback URL's host ::7f00:1 is an IPv4 address in disguise
            [64:ff9b::10.0.0.1]  [64:ff9b::a00:1] the callback URL's host 64:ff9b::a00:1 is a private address
            [::1%25eth0]         no URL: invalid IPv6 address
            [example.com]        no URL: invalid IPv6 address
            [127.0.0.1]          no URL: invalid IPv6 address
            localhost            localhost -
            localhost.           localhost. -
            app.example          app.example -
            8.8.8.8              8.8.8.8 -
            0x08080808           8.8.8.8 -
            [2606:4700::1111]    [2606:4700::1111] -
        "#]].assert_eq(&hosts.split_whitespace().map(line).collect::<String>());
    }

    #[tokio::test]
    async fn only_what_was_looked_up_and_is_public_is_connected_to() {
        let told = [
            check(&[&["93.184.216.34", "2606:2800::1"]]).await,
            check(&[&["10.0.0.5"]]).await,
            check(&[&["93.184.216.34", "10.0.0.5"]]).await,
            check(&[&["93.184.216.34", "::ffff:127.0.0.1"]]).await,
            check(&[&["93.184.216.34"], &["127.0.0.1"]]).await,
            check(&[&[]]).await,
        ];
        expect![[r#"
            [93.184.216.34:80, [2606:2800::1]:80]
            the callback URL's host app.example has the address 10.0.0.5, a private address, and deny_private is true; give the App a public address, or set deny_private = false
            the callback URL's host app.example has the address 10.0.0.5, a private address, and deny_private is true; give the App a public address, or set deny_private = false
            the callback URL's host app.example has the address ::ffff:127.0.0.1, a loopback address, and deny_private is true; give the App a public address, or set deny_private = false
            [93.184.216.34:80]
            the callback URL's host app.example has the address 127.0.0.1, a loopback address, and deny_private is true; give the App a public address, or set deny_private = false
            []
        "#]].assert_eq(&told.concat());
    }

    #[tokio::test]
    async fn the_names_of_this_machine_are_looked_up_and_refused() {
        let refused = Names::of_the_system(true).look_up("localhost", 80).await.unwrap_err();
        assert!(refused.contains("a loopback address"), "{refused}");
        assert!(Names::of_the_system(false).look_up("localhost", 80).await.is_ok());
    }
}
