#include "operations/collector.hpp"

#include <algorithm>
#include <charconv>
#include <functional>
#include <iterator>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "base/text.hpp"
#include "serving/flag.hpp"

namespace falproxy::test {
namespace {

using falproxy_test::Peer;

// Reads a message as the schema has it: each member is known, and of its type.
class SchemaReader {
 public:
  std::vector<SeenSpan> spans;
  std::vector<std::string> faults;

  void read(const Json& request) {
    members(request, "request", {{"resourceSpans", [&](const Json& rows) {
                                    each(rows, "resourceSpans",
                                         [&](const Json& row) { read_resource(row); });
                                  }}});
    if (spans.empty()) faults.emplace_back("a request without a span");
  }

 private:
  using Take = std::function<void(const Json&)>;

  void fault(std::string what) { faults.push_back(std::move(what)); }

  void members(const Json& of, const std::string& what, const std::map<std::string, Take>& known) {
    if (!of.is_object()) return fault(what + " is no object");
    for (const auto& [name, value] : of.members()) {
      const auto found = known.find(std::string(name));
      if (found == known.end()) {
        fault(what + " has an unknown member " + std::string(name));
      } else {
        found->second(value);
      }
    }
  }
  void each(const Json& of, const std::string& what, const Take& take) {
    if (!of.is_array()) return fault(what + " is no array");
    for (const Json& element : of.elements()) take(element);
  }
  std::string text(const Json& value, const std::string& what) {
    if (!value.is_string()) fault(what + " is no text");
    return std::string(value.as_string().value_or(""));
  }
  std::string hex(const Json& value, const std::string& what, std::size_t digits) {
    std::string id = text(value, what);
    const bool fits = id.size() == digits &&
                      id.find_first_not_of("0123456789abcdef") == std::string::npos &&
                      id.find_first_not_of('0') != std::string::npos;
    if (!fits) fault(what + " is no id: " + id);
    return id;
  }
  std::int64_t integer64(const Json& value, const std::string& what) {
    const std::string digits = text(value, what);
    std::int64_t number = 0;
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (code != std::errc() || end != digits.data() + digits.size() || digits.empty())
      fault(what + " is no integer in a text: " + digits);
    return number;
  }
  std::int64_t small(const Json& value, const std::string& what, std::int64_t most) {
    const std::int64_t number = value.as_integer().value_or(-1);
    if (number < 0 || number > most) fault(what + " is out of its range");
    return number;
  }

  std::map<std::string, Json> attributes(const Json& rows, const std::string& what) {
    std::map<std::string, Json> found;
    each(rows, what, [&](const Json& row) {
      std::string key;
      Json value;
      int values = 0;
      const auto take = [&](Json taken) {
        ++values;
        value = std::move(taken);
      };
      const std::map<std::string, Take> kinds = {
          {"stringValue", [&](const Json& v) { take(Json::string(text(v, what))); }},
          {"intValue", [&](const Json& v) { take(Json::integer(integer64(v, what))); }},
          {"doubleValue",
           [&](const Json& v) {
             if (!v.is_numeric()) fault(what + " has no number");
             take(v);
           }},
          {"boolValue", [&](const Json& v) {
             if (!v.as_boolean()) fault(what + " has no bool");
             take(v);
           }}};
      members(row, what,
              {{"key", [&](const Json& v) { key = text(v, what); }},
               {"value", [&](const Json& v) { members(v, what + ".value", kinds); }}});
      if (key.empty() || values != 1) fault(what + " has an entry without a key, or not one value");
      if (!found.emplace(key, value).second) fault(what + " has " + key + " twice");
    });
    return found;
  }

  void read_resource(const Json& row) {
    std::map<std::string, Json> resource;
    members(
        row, "resourceSpans",
        {{"resource",
          [&](const Json& v) {
            members(v, "resource", {{"attributes", [&](const Json& rows) {
                                       resource = attributes(rows, "resource.attributes");
                                     }}});
          }},
         {"scopeSpans",
          [&](const Json& v) { each(v, "scopeSpans", [&](const Json& one) { read_scope(one); }); }},
         {"schemaUrl", [&](const Json& v) { text(v, "schemaUrl"); }}});
    if (!resource.contains("service.name")) fault("the resource has no service.name");
    for (SeenSpan& span : spans) span.resource = resource;
  }

  void read_scope(const Json& row) {
    members(row, "scopeSpans",
            {{"scope",
              [&](const Json& v) {
                members(v, "scope",
                        {{"name", [&](const Json& t) { text(t, "scope.name"); }},
                         {"version", [&](const Json& t) { text(t, "scope.version"); }}});
              }},
             {"spans",
              [&](const Json& v) { each(v, "spans", [&](const Json& one) { read_span(one); }); }},
             {"schemaUrl", [&](const Json& v) { text(v, "schemaUrl"); }}});
  }

  void read_span(const Json& row) {
    SeenSpan span;
    members(
        row, "span",
        {{"traceId", [&](const Json& v) { span.trace = hex(v, "traceId", 32); }},
         {"spanId", [&](const Json& v) { span.id = hex(v, "spanId", 16); }},
         {"parentSpanId", [&](const Json& v) { span.parent = hex(v, "parentSpanId", 16); }},
         {"traceState", [&](const Json& v) { span.state = text(v, "traceState"); }},
         {"flags", [&](const Json& v) { small(v, "flags", 0xffffffff); }},
         {"name", [&](const Json& v) { span.name = text(v, "name"); }},
         {"kind", [&](const Json& v) { span.kind = small(v, "kind", 5); }},
         {"startTimeUnixNano",
          [&](const Json& v) { span.began = integer64(v, "startTimeUnixNano"); }},
         {"endTimeUnixNano", [&](const Json& v) { span.ended = integer64(v, "endTimeUnixNano"); }},
         {"attributes", [&](const Json& v) { span.attributes = attributes(v, "attributes"); }},
         {"status", [&](const Json& v) {
            members(v, "status",
                    {{"code", [&](const Json& c) { span.failed = small(c, "code", 2) == 2; }},
                     {"message", [&](const Json& t) { text(t, "status.message"); }}});
          }}});
    if (span.trace.empty() || span.id.empty() || span.name.empty())
      fault("a span without its ids or name");
    if (span.kind == 0) fault("a span of no kind");
    if (span.began <= 0 || span.ended < span.began) fault(span.name + " ends before it begins");
    spans.push_back(std::move(span));
  }
};

}  // namespace

std::string SeenSpan::text(const std::string& attribute) const {
  const auto found = attributes.find(attribute);
  return found == attributes.end() ? "" : std::string(found->second.as_string().value_or(""));
}

std::int64_t SeenSpan::integer(const std::string& attribute) const {
  const auto found = attributes.find(attribute);
  return found == attributes.end() ? 0 : found->second.as_integer().value_or(0);
}

Collector::Collector()
    : server_([this](Peer& peer, int) {
        while (const std::optional<std::string> request = peer.read_request()) {
          std::string answer;
          {
            const std::lock_guard lock(mutex_);
            if (!answers_.empty()) {
              answer = answers_.front();
              answers_.erase(answers_.begin());
            }
          }
          if (answer.empty()) take(*request);
          const bool goes_on = answer.empty() ? peer.answer("{\"partialSuccess\":{}}",
                                                            "Content-Type: application/json\r\n")
                                              : peer.write(answer);
          if (!goes_on) return;
        }
      }) {}

void Collector::take(const std::string& request) {
  SchemaReader reader;
  const std::size_t end = request.find("\r\n\r\n");
  const std::string head = to_lower(request.substr(0, end));
  if (!head.starts_with("post ")) reader.faults.emplace_back("it was not posted");
  if (head.find("\r\ncontent-type: application/json\r\n") == std::string::npos)
    reader.faults.emplace_back("its type is not application/json");
  const Result<Json> body =
      Json::parse(request.substr(end + 4), {.max_values = 10'000'000, .unique_names = true});
  if (!body) {
    reader.faults.emplace_back(body.error().message);
  } else {
    reader.read(*body);
  }
  const std::lock_guard lock(mutex_);
  requests_.push_back(request);
  std::ranges::move(reader.spans, std::back_inserter(spans_));
  std::ranges::move(reader.faults, std::back_inserter(faults_));
}

std::vector<SeenSpan> Collector::spans() const {
  const std::lock_guard lock(mutex_);
  return spans_;
}

std::vector<SeenSpan> Collector::trace_with(const std::string& name) const {
  std::vector<SeenSpan> found;
  static_cast<void>(eventually([&] {
    const std::vector<SeenSpan> all = spans();
    const auto named = std::ranges::find(all, name, &SeenSpan::name);
    if (named == all.end()) return false;
    std::ranges::copy_if(all, std::back_inserter(found),
                         [&](const SeenSpan& span) { return span.trace == named->trace; });
    return true;
  }));
  return found;
}

std::vector<std::string> Collector::faults() const {
  const std::lock_guard lock(mutex_);
  return faults_;
}

std::vector<std::string> Collector::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void Collector::answer_first(std::vector<std::string> answers) {
  const std::lock_guard lock(mutex_);
  answers_ = std::move(answers);
}

std::string drawn(const std::vector<SeenSpan>& spans) {
  std::vector<const SeenSpan*> sorted;
  std::set<std::string> ids;
  for (const SeenSpan& span : spans) {
    sorted.push_back(&span);
    ids.insert(span.id);
  }
  std::ranges::stable_sort(sorted, {},
                           [](const SeenSpan* span) { return std::tie(span->began, span->name); });
  std::string text;
  const std::function<void(const std::string&, std::size_t)> draw = [&](const std::string& parent,
                                                                        std::size_t depth) {
    for (const SeenSpan* const span : sorted) {
      const bool is_root = !ids.contains(span->parent);
      if (parent.empty() ? !is_root : span->parent != parent) continue;
      constexpr const char* kinds[] = {"?", "", " (server)", " (client)", "?", "?"};
      text += std::string(depth * 2, ' ') + span->name + kinds[span->kind];
      const std::string path = span->text("url.full");
      if (!path.empty()) text += " " + path.substr(path.find('/', 8));
      text += '\n';
      draw(span->id, depth + 1);
    }
  };
  draw("", 0);
  return text;
}

}  // namespace falproxy::test
