use super::*;

fn entry(name: &str) -> Entry {
    Entry {
        name: name.to_owned(),
        server: "https://10.88.10.10:6443".to_owned(),
        ca: "Y2E=".to_owned(),
        certificate: "Y3J0".to_owned(),
        key: "a2V5".to_owned(),
    }
}

fn known(name: &str) -> Known<'_> {
    Known {
        name,
        server: "https://10.88.10.10:6443",
    }
}

/// As kubectl writes it, with what a person added.
const OTHERS: &str = "apiVersion: v1
clusters:
# the one at work
- cluster:
    certificate-authority: /ca.crt
    server: https://work.example:6443 # behind the VPN
  name: work
contexts:
- context:
    cluster: work
    namespace: team
    user: me
  name: work
current-context: work
kind: Config
preferences:
  colors: true
users:
- name: me
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: login
# the end
";

fn put(text: &str, name: &str) -> String {
    change(text, Change::Put(&entry(name), true)).unwrap()
}

fn value(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

#[test]
fn a_new_kubeconfig_is_complete() {
    let text = put("", "dev");
    let config = value(&text);
    assert_eq!(config["kind"], "Config");
    assert_eq!(config["apiVersion"], "v1");
    assert_eq!(config["current-context"], "dev");
    assert_eq!(config["clusters"][0]["name"], "dev");
    let cluster = &config["clusters"][0]["cluster"];
    assert_eq!(cluster["server"], "https://10.88.10.10:6443");
    assert_eq!(cluster["certificate-authority-data"], "Y2E=");
    let context = &config["contexts"][0]["context"];
    assert_eq!(
        (&context["cluster"], &context["user"]),
        (&"dev".into(), &"dev".into())
    );
    assert_eq!(config["users"][0]["user"]["client-key-data"], "a2V5");
    assert!(leads_to(&text, "dev", "https://10.88.10.10:6443"));
    assert!(!leads_to(&text, "dev", "https://10.88.11.10:6443"));
    assert!(!leads_to(&text, "other", "https://10.88.10.10:6443"));
}

#[test]
fn what_others_have_stays_as_it_was_written() {
    let with = put(OTHERS, "dev");
    for line in OTHERS.lines().filter(|line| !line.starts_with("current")) {
        assert!(
            with.lines().any(|there| there == line),
            "{line} is gone:\n{with}"
        );
    }
    let config = value(&with);
    assert_eq!(config["current-context"], "dev");
    assert_eq!(config["clusters"].as_sequence().unwrap().len(), 2);
    assert_eq!(config["users"][0]["user"]["exec"]["command"], "login");
    // Once more changes nothing.
    assert_eq!(put(&with, "dev"), with);
    // Another certificate takes the old one's place.
    let newer = Entry {
        certificate: "bmV3".to_owned(),
        ..entry("dev")
    };
    let renewed = change(&with, Change::Put(&newer, true)).unwrap();
    assert_eq!(renewed, with.replace("Y3J0", "bmV3"));
    // Taken out again, all is as before but for the context that was left.
    let without = change(&with, Change::Remove(known("dev"))).unwrap();
    let left = OTHERS.replace("current-context: work", "current-context: \"\"");
    assert_eq!(without, left);
    assert_eq!(
        change(&without, Change::Remove(known("dev"))).unwrap(),
        without
    );
}

#[test]
fn the_current_context_is_only_ours_when_asked_for() {
    let kept = change(OTHERS, Change::Put(&entry("dev"), false)).unwrap();
    assert_eq!(value(&kept)["current-context"], "work");
    let without = change(&kept, Change::Remove(known("dev"))).unwrap();
    assert_eq!(without, OTHERS, "another's context stays the current one");
    let none = change("", Change::Put(&entry("dev"), false)).unwrap();
    assert_eq!(value(&none)["current-context"], "");
    let ours = put(OTHERS, "dev");
    let left = change(&ours, Change::Leave(known("dev"))).unwrap();
    assert_eq!(value(&left)["current-context"], "");
    assert_eq!(value(&left)["contexts"], value(&ours)["contexts"]);
    assert_eq!(change(&ours, Change::Leave(known("work"))).unwrap(), ours);
}

#[test]
fn however_it_is_written_it_says_what_it_should() {
    for text in [
        // As JSON.
        r#"{"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "work", "cluster": {"server": "https://x"}}], "contexts": [], "users": null}"#,
        // Indented lists, a flow list, quotes, a document's marks.
        "---\nkind: \"Config\"\nclusters:\n  - name: work\n    cluster:\n      server: https://x\ncontexts: []\nusers:\n",
        "kind: Config\n\"clusters\":\n- {name: work, cluster: {server: 'https://x'}}\n",
        // An anchor.
        "clusters:\n- &a\n  name: work\n  cluster: {server: https://x}\nextensions: [*a]\n",
        // No newline at the end.
        "clusters:\n- cluster: {server: https://x}\n  name: work",
    ] {
        let with = put(text, "dev");
        let config = value(&with);
        assert_eq!(
            config["clusters"][0]["cluster"]["server"], "https://x",
            "{with}"
        );
        assert_eq!(config["clusters"][1]["name"], "dev", "{with}");
        assert!(leads_to(&with, "dev", "https://10.88.10.10:6443"), "{with}");
        let without = value(&change(&with, Change::Remove(known("dev"))).unwrap());
        assert_eq!(without["clusters"].as_sequence().unwrap().len(), 1);
        assert_eq!(without["users"].as_sequence().unwrap().len(), 0);
        assert_eq!(value(text).get("extensions"), without.get("extensions"));
    }
}

#[test]
fn a_broken_file_is_refused() {
    for text in [
        "clusters: [",
        "- a",
        "just text",
        "kind: Pod",
        "clusters: {a: b}",
        "clusters:\n- cluster: {}\n",
        "users:\n- 5\n",
        "a: 1\n---\nb: 2\n",
        "a: 1\na: 2\n",
    ] {
        assert!(
            change(text, Change::Put(&entry("dev"), true)).is_err(),
            "{text}"
        );
        assert!(
            change(text, Change::Remove(known("dev"))).is_err(),
            "{text}"
        );
        assert!(!leads_to(text, "dev", "https://10.88.10.10:6443"));
    }
}

#[test]
fn another_cluster_of_the_name_stays() {
    // Put in by somebody else.
    for name in ["work", "me"] {
        let refused = change(OTHERS, Change::Put(&entry(name), true)).unwrap_err();
        assert!(refused.way_out.unwrap().contains(name));
    }
    for change_of in [Change::Remove, Change::Leave] {
        assert_eq!(change(OTHERS, change_of(known("work"))).unwrap(), OTHERS);
    }
    // Put in by us, and pointed elsewhere since: the cluster, or the context alone.
    let ours = put(OTHERS, "dev");
    let moved = ours.replace("10.88.10.10", "10.0.0.1");
    assert!(change(&moved, Change::Put(&entry("dev"), true)).is_err());
    for change_of in [Change::Remove, Change::Leave] {
        assert_eq!(change(&moved, change_of(known("dev"))).unwrap(), moved);
    }
    let led = ours.replace("    cluster: dev\n", "    cluster: work\n");
    assert!(change(&led, Change::Put(&entry("dev"), true)).is_err());
    assert_eq!(change(&led, Change::Leave(known("dev"))).unwrap(), led);
    let without = value(&change(&led, Change::Remove(known("dev"))).unwrap());
    assert_eq!(without["contexts"], value(&led)["contexts"]);
    assert_eq!(without["users"], value(&led)["users"]);
    assert_eq!(without["clusters"].as_sequence().unwrap().len(), 1);
    assert_eq!(without["current-context"], "dev");
    // A context that was deleted is made again.
    let alone = change("", Change::Put(&entry("dev"), true)).unwrap();
    let mut parts = value(&alone);
    parts["contexts"] = Value::Sequence(Vec::new());
    let lacking = serde_yaml::to_string(&parts).unwrap();
    assert!(leads_to(&put(&lacking, "dev"), "dev", known("dev").server));
}
