//! What refusals of a URL tell, and whether the description knows the shape of refusals.

use super::*;

#[tokio::test]
async fn a_url_that_cannot_be_read_is_told_apart_without_being_repeated() {
    let server = Server::with_docs(Config::default()).await;
    for (path, code, expected) in [
        ("/v1/admin/receipts/s3cr3t", "invalid_path", "must be a whole number from 0"),
        ("/v1/admin/backups/-1/verify", "invalid_path", "must be a whole number from 0"),
        ("/v1/collections/%FF", "invalid_path", "not percent-encoded UTF-8"),
        ("/v1/admin/audit?s3cr3t=1", "invalid_query", "one of `start`, `end`, `action`, `actor`, `limit`, `cursor` is"),
        ("/v1/admin/audit?limit=s3cr3t", "invalid_query", "limit: a whole number from 0 is expected"),
        ("/v1/admin/audit?cursor=s3cr3t", "invalid_query", "cursor: a whole number from 0 is expected"),
        ("/v1/admin/audit?limit=1&limit=2", "invalid_query", "repeated"),
        ("/v1/admin/audit?action=s3cr3t", "invalid", "no act has this name"),
    ] {
        let method = if path.ends_with("verify") { Method::POST } else { Method::GET };
        let answer = server.ask(method, path, Value::Null).await;
        is_problem(&answer, 400, code);
        let detail = answer.1["detail"].as_str().unwrap();
        assert!(detail.contains(expected) && !detail.contains("s3cr3t"), "{path}: {detail}");
    }
}

/// An option that is flattened is described as one of its object and null, which no problem is.
#[tokio::test]
async fn every_problem_fits_its_description() {
    let description = Server::new(Config::default()).ask(Method::GET, "/openapi.json", Value::Null).await.1;
    let mut required = Vec::new();
    let shape = &description["components"]["schemas"]["Problem"];
    assert!(!shape.to_string().contains("oneOf"), "{shape}");
    for part in shape["allOf"].as_array().unwrap() {
        let part =
            part["$ref"].as_str().map_or(part, |path| description.pointer(path.trim_start_matches('#')).unwrap());
        required.extend(part["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap()));
    }
    required.sort_unstable();
    assert_eq!(required, ["code", "detail", "status", "title", "type"]);
}
