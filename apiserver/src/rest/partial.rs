//! The metadata of an object and nothing else (`PartialObjectMetadata`), from the bytes that are
//! kept of it.

use crate::store::splice;
use hardway_resources::table;

/// Writes it in a version of `meta.k8s.io`.
///
/// # Errors
/// If it is no object.
pub fn write(out: &mut Vec<u8>, json: &[u8], meta_version: &str) -> serde_json::Result<()> {
    let Some([before, version, after]) = splice::metadata_in_order(json) else {
        return table::write_partial(out, json, meta_version);
    };
    table::begin_partial(out, meta_version);
    out.push(b'{');
    out.extend_from_slice(before);
    if !before.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(version);
    out.extend_from_slice(after);
    out.extend_from_slice(b"}}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::splice::{Versioned, encode};
    use serde_json::{Value, json};

    fn written(json: &[u8]) -> String {
        let mut out = Vec::new();
        write(&mut out, json, "v1").unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn metadata_is_as_it_would_be_after_parsing() {
        let few = json!({"name": "a"});
        let many = json!({"annotations": {"x": "\"},{\\"}, "labels": {}, "name": "a",
            "managedFields": [{"fieldsV1": {"f:spec": {"f:metadata": {}}}}], "uid": "u",
            "deletionGracePeriodSeconds": 30, "zone": null});
        let late = json!({"selfLink": "/", "uid": "u"});
        for metadata in [json!({}), few, many, late] {
            let object = json!({"kind": "Pod", "apiVersion": "v1", "metadata": metadata,
                "spec": {"metadata": {}}});
            let kept = Versioned::new(&encode(&object), 77).unwrap().bytes;
            assert!(splice::metadata_in_order(&kept).is_some(), "{object}");
            let parsed: Value = serde_json::from_slice(&kept).unwrap();
            assert_eq!(parsed["metadata"]["resourceVersion"], "77");
            assert_eq!(written(&kept), table::partial(&parsed).to_string());
        }
    }

    #[test]
    fn what_others_have_written_in_another_order_is_put_in_order() {
        for metadata in [
            r#"{"uid":"u","name":"a"}"#,
            r#"{ "name":"a","uid":"u"}"#,
            r#"{"name":"a" ,"uid":"u"}"#,
            r#"{"name": "a","uid":"u"}"#,
            r#"{"name":"a","uid":"u" }"#,
            r#"{"n\u0061me":"a","uid":"u"}"#,
        ] {
            let json = format!(r#"{{"metadata":{metadata},"kind":"Pod"}}"#);
            let kept = Versioned::new(json.as_bytes(), 7).unwrap().bytes;
            assert!(splice::metadata_in_order(&kept).is_none(), "{json}");
            let parsed: Value = serde_json::from_slice(&kept).unwrap();
            assert_eq!(written(&kept), table::partial(&parsed).to_string());
        }
        assert!(write(&mut Vec::new(), b"[]", "v1").is_err());
    }
}
