#include "commands/check.hpp"

#include <algorithm>
#include <optional>
#include <ostream>
#include <string_view>

#include "base/fmt.hpp"
#include "commands/documents.hpp"
#include "commands/key_test.hpp"
#include "commands/table.hpp"
#include "falproxy/suggest.hpp"

namespace falproxy::app {
namespace {

enum class State { ok, warning, fault };

constexpr std::string_view name_of(State state) {
  return state == State::ok ? "ok" : state == State::warning ? "warning" : "fault";
}

std::string count_of(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

struct Finding {
  State state = State::ok;
  std::string what;  // "model flux-dev"
  std::string text;
  std::string mend = {};
  bool operator==(const Finding&) const = default;
};

class Check {
 public:
  explicit Check(const Surroundings& surroundings) : surroundings_(surroundings) {}

  void run(const CommandLine& line) {
    const auto configuration = load_configuration(line.env_file, surroundings_.environment);
    if (!configuration) {
      for (const SettingsFault& fault : configuration.error()) add(State::fault, fault);
      return;
    }
    for (const SettingsFault& warning : configuration->warnings) add(State::warning, warning);
    const Settings& settings = configuration->settings;
    put({State::ok, "settings",
         count_of(settings.models.size(), "model") + ", " +
             count_of(settings.ai_keys.size(), "fal account") + ", " +
             count_of(settings.access_keys.size(), "access key")});
    auto documents =
        Documents::create(surroundings_, *configuration, Documents::Cache::passed_over);
    if (!documents) {
      put({State::fault, "certificates", documents.error().message,
           "name a readable PEM file in SSL_CERT_FILE, or leave it out"});
      return;
    }
    check_models(configuration->models, **documents);
    check_keys(*configuration, (*documents)->transport());
  }

  [[nodiscard]] std::size_t count(State state) const {
    return static_cast<std::size_t>(std::ranges::count(findings_, state, &Finding::state));
  }

  [[nodiscard]] std::string text() const {
    std::vector<std::vector<std::string>> rows;
    for (const Finding& finding : findings_) {
      const std::string mend = finding.mend.empty() ? "" : "\n-> " + finding.mend;
      rows.push_back({std::string(name_of(finding.state)), finding.what, finding.text + mend});
    }
    return table_text(rows) + count_of(count(State::fault), "fault") + ", " +
           count_of(count(State::warning), "warning") + "\n";
  }

  [[nodiscard]] Json json() const {
    std::vector<Json> rows;
    for (const Finding& finding : findings_) {
      rows.push_back(Json::object({{"state", Json::string(name_of(finding.state))},
                                   {"what", Json::string(finding.what)},
                                   {"finding", Json::string(finding.text)},
                                   {"mend", Json::string(finding.mend)}}));
    }
    return Json::object(
        {{"ok", Json::boolean(count(State::fault) == 0)}, {"findings", Json::array(rows)}});
  }

 private:
  // What two documents of a model say alike is said once.
  void put(Finding finding) {
    if (std::ranges::find(findings_, finding) == findings_.end()) {
      findings_.push_back(std::move(finding));
    }
  }

  void add(State state, const SettingsFault& fault) {
    SettingsFault place = fault;
    place.mend.clear();
    put({state, "settings", to_string(place), fault.mend});
  }

  void check_models(const std::vector<CatalogModel>& models, Documents& documents) {
    std::vector<Documents::Wanted> wanted;
    for (const CatalogModel& model : models) {
      wanted.push_back({model.name, model.endpoint});
      if (model.edit_endpoint.has_value()) wanted.push_back({model.name, *model.edit_endpoint});
    }
    const std::vector<Documents::Schema> schemas = documents.fetch(wanted);
    auto next = schemas.begin();
    for (const CatalogModel& model : models) {
      const Documents::Schema& own = *next++;
      check_document(model, false, own);
      std::vector<const Documents::Schema*> of_model{&own};
      if (model.edit_endpoint.has_value()) {
        const Documents::Schema& edit = *next++;
        check_document(model, true, edit);
        of_model.push_back(&edit);
      }
      check_fields(model, "defaults", model.settings.defaults, of_model);
      check_fields(model, "overrides", model.settings.overrides, of_model);
    }
  }

  void check_document(const CatalogModel& model, bool edits, const Documents::Schema& document) {
    const std::string what = fmt::format("model {}{}", model.name, edits ? " (edits)" : "");
    if (!document) {
      const bool pinned = !edits && !model.settings.schema.empty();
      put({State::fault, what, document.error().message,
           pinned
               ? "mend the file that MODELS_FILE names as its schema"
               : "see that its id in SUPPORTED_MODELS is right, and that FAL_SCHEMA_URL answers"});
      return;
    }
    const schema::ModelSchema& schema = **document;
    const schema::Summary summary = schema::describe(schema);
    put({State::ok, what,
         fmt::format("{}: {}, {}, up to {} a job", schema.endpoint, summary.category,
                     size_words(summary),
                     count_of(static_cast<std::size_t>(summary.max_n), "image"))});
    if (schema.output.described && !schema.output.images && !schema.output.image) {
      put({State::warning, what, "its document promises no image",
           "choose an endpoint that makes images"});
    }
    if (edits && !summary.takes_images) {
      put({State::fault, what, "its document takes no image",
           "name an endpoint that edits, or none"});
    }
  }

  // Both endpoints of a model share its settings: a field that one of them has is known.
  void check_fields(const CatalogModel& model, std::string_view key,
                    const std::vector<std::pair<std::string, Json>>& fields,
                    const std::vector<const Documents::Schema*>& documents) {
    const std::string what = fmt::format("model {}", model.name);
    for (const auto& [name, value] : fields) {
      bool known = false;
      std::vector<std::string_view> names;
      for (const Documents::Schema* document : documents) {
        if (!*document) {
          known = true;  // as far as can be told
          continue;
        }
        for (const schema::Field& input : (**document)->inputs) names.push_back(input.name);
        const schema::Field* const field = (**document)->input(name);
        if (field == nullptr) continue;
        known = true;
        if (const std::optional<Error> error = schema::check(*field, value, name)) {
          put({State::fault, what, fmt::format("{}: {}", key, error->message),
               "mend it in MODELS_FILE"});
        }
      }
      if (known) continue;
      const std::string_view near = nearest(name, names);
      put({State::warning, what, fmt::format("{}: the model has no input '{}'", key, name),
           near.empty() ? "leave it out of MODELS_FILE" : fmt::format("did you mean '{}'?", near)});
    }
  }

  void check_keys(const Configuration& configuration, Transport& transport) {
    const std::vector<KeyVerdict> verdicts =
        test_keys(configuration.settings.ai_keys, configuration.models.front().endpoint,
                  fal_addresses(configuration.settings), transport, surroundings_.clock,
                  surroundings_.executor);
    std::size_t next = 0;
    std::size_t account = 0;
    for (const std::vector<Secret>& keys : configuration.settings.ai_keys) {
      ++account;
      for (std::size_t i = 0; i < keys.size(); ++i, ++next) {
        const KeyVerdict& verdict = verdicts[next];
        const State state = verdict.usable == KeyVerdict::Usable::yes  ? State::ok
                            : verdict.usable == KeyVerdict::Usable::no ? State::fault
                                                                       : State::warning;
        put({state, fmt::format("key {} (account {})", next + 1, account), verdict.text,
             verdict.mend});
      }
    }
  }

  const Surroundings& surroundings_;
  std::vector<Finding> findings_;
};

}  // namespace

int run_check(const CommandLine& line, const Surroundings& surroundings) {
  Check check(surroundings);
  check.run(line);
  if (line.json) {
    surroundings.out << check.json().dump(2) << '\n';
  } else {
    surroundings.out << check.text();
  }
  return check.count(State::fault) == 0 ? ExitStatus::done : ExitStatus::fault;
}

}  // namespace falproxy::app
