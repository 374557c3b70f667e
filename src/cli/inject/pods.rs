//! The pods of a manifest: where the kinds of Kubernetes keep theirs, and what is said of each.

use super::yaml::Node;

/// A pod, or the template of pods.
#[derive(Clone, Copy, Debug)]
pub struct Pod<'a> {
    /// The object it stands in: `Deployment`, `Pod`.
    pub kind: &'a str,
    /// That object's metadata.
    object: Option<&'a Node>,
    /// Its own metadata: the object's, of a `Pod`.
    own: Option<&'a Node>,
    pub spec: &'a Node,
    /// The line of `spec:`.
    pub line: usize,
}

/// What may stand around a pod, and where in it the pod is.
const KINDS: [(&str, &[&str]); 9] = [
    ("Pod", &[]),
    ("PodTemplate", &["template"]),
    ("Deployment", &["spec", "template"]),
    ("StatefulSet", &["spec", "template"]),
    ("DaemonSet", &["spec", "template"]),
    ("ReplicaSet", &["spec", "template"]),
    ("ReplicationController", &["spec", "template"]),
    ("Job", &["spec", "template"]),
    ("CronJob", &["spec", "jobTemplate", "spec", "template"]),
];

/// All pods of these documents, those in `List`s too.
pub fn find(documents: &[Node]) -> Vec<Pod<'_>> {
    documents.iter().flat_map(of_object).collect()
}

fn of_object(object: &Node) -> Vec<Pod<'_>> {
    let kind = object.text_at(&["kind"]).unwrap_or_default();
    if kind.ends_with("List") {
        return object.get("items").map(|items| find(items.items())).unwrap_or_default();
    }
    let known = KINDS.iter().find(|(known, _)| *known == kind);
    let pod = known.and_then(|(kind, path)| {
        let template = object.at(path)?;
        let spec = template.entry("spec")?;
        let (object, own) = (object.get("metadata"), template.get("metadata"));
        Some(Pod { kind, object, own, spec: &spec.value, line: spec.line })
    });
    pod.into_iter().collect()
}

impl<'a> Pod<'a> {
    /// For people: `Deployment orders`.
    pub fn shown(&self) -> String {
        format!("{} {}", self.kind, self.object_name().unwrap_or("without a name"))
    }

    pub fn namespace(&self) -> Option<&'a str> {
        self.object?.text_at(&["namespace"])
    }

    pub fn label(&self, name: &str) -> Option<&'a str> {
        self.own?.text_at(&["labels", name])
    }

    pub fn annotation(&self, name: &str) -> Option<&'a str> {
        self.own?.text_at(&["annotations", name])
    }

    /// Annotations with text in them.
    pub fn annotations(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = self.own.and_then(|own| own.get("annotations")).map(Node::entries).unwrap_or_default();
        all.iter().filter_map(|entry| {
            Some((entry.key.as_str(), entry.value.text().filter(|text| !text.is_empty())?))
        })
    }

    pub fn containers(&self) -> &'a [Node] {
        self.spec.get("containers").map(Node::items).unwrap_or_default()
    }

    pub fn init_containers(&self) -> &'a [Node] {
        self.spec.get("initContainers").map(Node::items).unwrap_or_default()
    }

    /// What the pods belong to: as the policy finds it from their owner.
    pub fn workload(&self) -> String {
        let name = self.object_name().unwrap_or_default();
        if self.kind != "Pod" {
            return self.named_by(self.kind, name);
        }
        let owners = self.own.and_then(|own| own.get("ownerReferences")).map(Node::items).unwrap_or_default();
        let controls = |owner: &&Node| owner.text_at(&["controller"]) == Some("true");
        if let Some(owner) = owners.iter().find(controls) {
            let text = |key| owner.text_at(&[key]).unwrap_or_default();
            return self.named_by(text("kind"), text("name"));
        }
        let generated = self.own.and_then(|own| own.text_at(&["generateName"])).filter(|name| name.len() > 1);
        generated.map_or(name, |name| name.strip_suffix('-').unwrap_or(name)).to_owned()
    }

    /// Without what a controller added to the name of its own controller.
    fn named_by(&self, kind: &str, name: &str) -> String {
        let stem = name.rsplit_once('-').filter(|(stem, end)| match kind {
            "ReplicaSet" => self.label("pod-template-hash") == Some(end),
            // A CronJob calls its Jobs by the minute.
            "Job" => {
                !stem.is_empty() && (8..=10).contains(&end.len()) && end.bytes().all(|b| b.is_ascii_digit())
            }
            _ => false,
        });
        stem.map_or(name, |(stem, _)| stem).to_owned()
    }

    fn object_name(&self) -> Option<&'a str> {
        self.object?.text_at(&["name"])
    }
}
