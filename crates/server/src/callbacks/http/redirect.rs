//! Where a redirect leads, as an operator would write it.

use crate::config::without_query;
use url::Url;

/// The URL to configure instead: without what Herald added to the one that it asked, and with no word of the
/// rest of its query, which may be a token.
pub(super) fn hint(asked: &Url, configured: &str, location: Option<&str>) -> String {
    let Some(location) = location else {
        return "redirects are not followed, and this one says not where it leads".to_owned();
    };
    let Some(to) = asked.join(location).ok().filter(|to| to.has_host()) else {
        let location = without_query(location);
        return format!("redirects are not followed; this one leads to {location:?}");
    };
    let to = without_added(asked, configured, to);
    format!("redirects are not followed; set the URL to {}", without_query(to.as_str()))
}

fn without_added(asked: &Url, configured: &str, mut to: Url) -> Url {
    let Ok(configured) = Url::parse(configured) else { return to };
    let pairs = |url: &Url| -> Vec<String> {
        url.query().unwrap_or_default().split('&').map(str::to_owned).collect()
    };
    let own = pairs(&configured);
    let added: Vec<_> = pairs(asked).into_iter().filter(|pair| !own.contains(pair)).collect();
    let kept: Vec<_> = pairs(&to).into_iter().filter(|pair| !added.contains(pair)).collect();
    let kept = kept.join("&");
    to.set_query(Some(kept.as_str()).filter(|kept| !kept.is_empty()));
    let segment = asked.path().strip_prefix(configured.path().trim_end_matches('/'));
    if let Some(segment) = segment.filter(|segment| segment.len() > 1) {
        let path = to.path().strip_suffix(segment).map(str::to_owned);
        path.into_iter().for_each(|path| to.set_path(&path));
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(configured: &str, asked: &str, location: Option<&str>, expected: Expect) {
        let hint = hint(&Url::parse(asked).unwrap(), configured, location);
        expected.assert_eq(hint.strip_prefix("redirects are not followed").unwrap());
    }

    #[test]
    fn what_herald_added_is_not_part_of_the_url_to_configure() {
        let (plain, asked) =
            ("http://a.example/cb", "http://a.example/cb?command=c&contenttype=json");
        let to = |location| Some(location);
        check(
            plain,
            asked,
            to("https://a.example/cb?command=c&contenttype=json"),
            expect!["; set the URL to https://a.example/cb"],
        );
        check(
            plain,
            asked,
            to("/new/?x=1&command=c&contenttype=json"),
            expect!["; set the URL to http://a.example/new/?***"],
        );
        check(
            plain,
            asked,
            to("https://b.example"),
            expect!["; set the URL to https://b.example/"],
        );
        check(plain, asked, None, expect![", and this one says not where it leads"]);
        check(plain, asked, to("http://["), expect![[r#"; this one leads to "http://[""#]]);
        let (own, asked) =
            ("http://a.example/cb?t=7", "http://a.example/cb?t=7&command=c&contenttype=json");
        check(
            own,
            asked,
            to("/x?t=7&command=c&contenttype=json"),
            expect!["; set the URL to http://a.example/x?***"],
        );
        let (path, asked) =
            ("http://a.example/cb/", "http://a.example/cb/callbackUserOnlineCommand");
        check(
            path,
            asked,
            to("https://a.example/cb/callbackUserOnlineCommand"),
            expect!["; set the URL to https://a.example/cb"],
        );
        check(
            path,
            asked,
            to("https://a.example/login"),
            expect!["; set the URL to https://a.example/login"],
        );
    }
}
