use super::super::negotiate::MetaVersion;
use super::*;
use crate::store::Stored;
use hardway_resources::Registry;

/// A list of ConfigMaps, with texts that look like ends of lists.
fn listing(count: usize) -> Listing {
    let maps = Registry::new().resource("", "configmaps").unwrap();
    let entry = |number: usize| {
        let key = format!("d/m{number}");
        let object = json!({"kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {"name": format!("m{number}"), "namespace": "d", "uid": "u",
                "labels": {"a": "\"items\":[]"}},
            "data": {"a": "x\nitems: []\nrows: []\n", "b": "yes"}});
        let stored = Stored {
            key: format!("configmaps/{key}"),
            value: object.to_string().into(),
            revision: 7,
            stale: false,
        };
        Arc::new(Entry::read(&maps, &key, &stored, |_| {}).unwrap())
    };
    let items = (0..count).map(entry).collect();
    Listing {
        target: Target {
            resource: maps,
            version: "v1".into(),
            namespace: "d".into(),
            name: String::new(),
            subresource: String::new(),
        },
        items,
        revision: 9,
        next: Some("items: []".into()),
        remaining: Some(3),
        seat: None,
    }
}

/// The same as a whole, from objects that were parsed.
fn expected(listing: &Listing, wanted: Representation) -> String {
    let target = &listing.target;
    let metadata = list_metadata(listing);
    let items: Vec<Value> = listing.items.iter().map(|entry| entry.value()).collect();
    let form = wanted.form;
    let list = match form.shape {
        Shape::Object => json!({"kind": "ConfigMapList", "apiVersion": "v1",
            "metadata": metadata, "items": items}),
        Shape::Table => {
            let printer = &target.resource.versions[0].printer;
            let now = Timestamp::now();
            table::render(
                printer.as_ref(),
                &items,
                metadata,
                wanted.include,
                true,
                now,
            )
        }
        Shape::Partial => partial_list(metadata, &items),
    };
    let list = match form.shape {
        Shape::Object => list,
        _ => of_version(list, form.meta_version),
    };
    match (form.media, form.pretty) {
        (Media::Yaml, _) => yaml::write(&list),
        (_, true) => serde_json::to_string_pretty(&list).unwrap() + "\n",
        (_, false) => list.to_string(),
    }
}

#[test]
fn a_list_is_in_each_form_what_it_is_as_a_whole() {
    let mut forms = Vec::new();
    for media in [Media::Json, Media::Yaml] {
        for shape in [Shape::Object, Shape::Table, Shape::Partial] {
            for pretty in [false, true] {
                for meta_version in [MetaVersion::V1, MetaVersion::V1beta1] {
                    forms.push(Form {
                        media,
                        shape,
                        meta_version,
                        pretty,
                    });
                }
            }
        }
    }
    for form in forms {
        for include in [Include::None, Include::Metadata, Include::Object] {
            for count in 0..3 {
                let wanted = Representation {
                    form,
                    include,
                    gzip: false,
                };
                let expected = expected(&listing(count), wanted);
                let written = whole(Elements::of(listing(count), wanted));
                let written = String::from_utf8(written.to_vec()).unwrap();
                let context = format!("{form:?} {include:?} {count}");
                if as_it_is(wanted) {
                    // The bytes that are kept begin otherwise.
                    let [a, b]: [Value; 2] =
                        [&written, &expected].map(|text| serde_json::from_str(text).unwrap());
                    assert_eq!(a, b, "{context}");
                } else {
                    assert_eq!(written, expected, "{context}");
                }
            }
        }
    }
}

#[test]
fn metadata_in_protobuf_is_what_it_is_as_a_whole() {
    let form = Form {
        media: Media::Protobuf,
        shape: Shape::Partial,
        ..Form::default()
    };
    let wanted = Representation {
        form,
        include: Include::Metadata,
        gzip: false,
    };
    for count in 0..3 {
        let items: Vec<Value> = listing(count).items.iter().map(|it| it.value()).collect();
        let whole = partial_list(list_metadata(&listing(count)), &items);
        let whole = Encoded::new(&whole).unwrap();
        let sent = encoded(listing(count), 0, wanted).into_body();
        let sent = futures_util::FutureExt::now_or_never(http_body_util::BodyExt::collect(sent));
        let sent = sent.unwrap().unwrap().to_bytes();
        assert_eq!(sent, whole.bytes());
    }
}
