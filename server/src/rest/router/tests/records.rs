//! Writes over REST: conditions, and errors of single records.

use super::*;

#[tokio::test]
async fn conditions_and_errors_of_single_records() {
    let server = Server::with_docs(Config::default()).await;
    let put = async |body| server.ask(Method::PUT, "/v1/collections/docs/records", body).await;
    let version = async || {
        let (_, record) = server.ask(Method::GET, "/v1/collections/docs/records/1", Value::Null).await;
        record["version"].as_u64().unwrap()
    };
    let record = |id: u64, member: &str, value: Value| json!({"id": id, "vector": [1.0, 0.0], member: value});
    let first = version().await;
    let both = json!({"records": [record(5, "if_absent", json!(true)), record(1, "if_absent", json!(true))]});
    let answer = put(both.clone()).await;
    is_problem(&answer, 409, "conflict");
    assert_eq!(answer.1["detail"], "records[1]: a record of this id is there");
    is_problem(&server.ask(Method::GET, "/v1/collections/docs/records/5", Value::Null).await, 404, "not_found");

    let mut each = both;
    each["all_or_nothing"] = json!(false);
    each["records"].as_array_mut().unwrap().push(json!({"id": 6, "vector": [1.0]}));
    let (status, answer) = put(each).await;
    assert_eq!((status, &answer["upserted"]), (StatusCode::OK, &json!(1)), "{answer}");
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!((&errors[0]["at"], &errors[0]["code"]), (&json!(1), &json!("conflict")), "{answer}");
    assert_eq!((&errors[1]["at"], &errors[1]["code"]), (&json!(2), &json!("invalid")), "{answer}");

    let update = json!({"records": [record(1, "if_version", json!(first))]});
    assert_eq!(put(update.clone()).await.0, StatusCode::OK);
    assert!(version().await > first);
    is_problem(&put(update).await, 409, "conflict");
}
