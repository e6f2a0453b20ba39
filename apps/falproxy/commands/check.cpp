#include <algorithm>
#include <optional>
#include <ostream>
#include <string_view>

#include "base/fmt.hpp"
#include "commands/commands.hpp"
#include "commands/documents.hpp"
#include "commands/key_test.hpp"
#include "commands/table.hpp"
#include "falproxy/options.hpp"
#include "falproxy/suggest.hpp"
#include "state.hpp"

namespace falproxy::app {
namespace {

enum class Verdict { ok, warning, fault };

constexpr std::string_view name_of(Verdict state) {
  return state == Verdict::ok ? "ok" : state == Verdict::warning ? "warning" : "fault";
}

std::string count_of(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// Something that a request can be answered with.
bool is_served(std::optional<Medium> makes) {
  return makes.has_value() && makes != Medium::archive && makes != Medium::embedding;
}

struct Finding {
  Verdict state = Verdict::ok;
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
      for (const SettingsFault& fault : configuration.error()) add(Verdict::fault, fault);
      return;
    }
    for (const SettingsFault& warning : configuration->warnings) add(Verdict::warning, warning);
    const Settings& settings = configuration->settings;
    put({Verdict::ok, "settings",
         count_of(settings.models.size(), "model") + ", " +
             count_of(settings.ai_keys.size(), "fal account") + ", " +
             count_of(settings.access_keys.size() +
                          static_cast<std::size_t>(std::ranges::count_if(
                              settings.keys, [](const KeyRules& row) { return !row.key.empty(); })),
                      "access key")});
    if (const std::string ways = configuration->proxies.describe(); !ways.empty())
      put({Verdict::ok, "proxies", ways});
    check_state(settings);
    check_media(*configuration);
    auto documents =
        Documents::create(surroundings_, *configuration, Documents::Cache::passed_over);
    if (!documents) {
      put({Verdict::fault, "certificates", documents.error().message,
           "name a readable PEM file in SSL_CERT_FILE, or leave it out"});
      return;
    }
    check_models(configuration->models, **documents);
    check_keys(*configuration, (*documents)->transport());
  }

  [[nodiscard]] std::size_t count(Verdict state) const {
    return static_cast<std::size_t>(std::ranges::count(findings_, state, &Finding::state));
  }

  [[nodiscard]] std::string text() const {
    std::vector<std::vector<std::string>> rows;
    for (const Finding& finding : findings_) {
      const std::string mend = finding.mend.empty() ? "" : "\n-> " + finding.mend;
      rows.push_back({std::string(name_of(finding.state)), finding.what, finding.text + mend});
    }
    return table_text(rows) + count_of(count(Verdict::fault), "fault") + ", " +
           count_of(count(Verdict::warning), "warning") + "\n";
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
        {{"ok", Json::boolean(count(Verdict::fault) == 0)}, {"findings", Json::array(rows)}});
  }

 private:
  // What two documents of a model say alike is said once.
  void put(Finding finding) {
    if (std::ranges::find(findings_, finding) == findings_.end()) {
      findings_.push_back(std::move(finding));
    }
  }

  void add(Verdict state, const SettingsFault& fault) {
    SettingsFault place = fault;
    place.mend.clear();
    put({state, "settings", to_string(place), fault.mend});
  }

  void check_media(const Configuration& configuration) {
    if (!configuration.settings.media_store) return;
    const MediaPlace& place = *configuration.settings.media_store;
    if (!place.is_folder()) {
      if (!configuration.aws.key_id.empty() && !configuration.aws.secret.empty()) {
        put({Verdict::ok, "media", fmt::format("files are kept in the bucket {}", place.bucket)});
      } else {
        put({Verdict::fault, "media",
             "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set",
             "set both, in the environment or in the file"});
      }
    } else if (const std::string fault = fault_of_writing(place.folder); fault.empty()) {
      put({Verdict::ok, "media", fmt::format("files are kept in {}", place.folder)});
    } else {
      put({Verdict::warning, "media",
           fmt::format("files cannot be kept in {}: {}", place.folder, fault),
           "let falproxy write there, make room on the disk, or name another folder"});
    }
  }

  void check_shared(const Settings& settings) {
    const std::string fault = fault_of_sharing(settings);
    if (fault.empty()) {
      put({Verdict::ok, "state", "the Redis of STATE_URL answers"});
    } else {
      put({Verdict::warning, "state", fmt::format("STATE_URL: {}", fault),
           "start Redis or Valkey there, or mend the address; until then each replica works "
           "alone"});
    }
  }

  void check_state(const Settings& settings) {
    if (settings.state_url) check_shared(settings);
    if (settings.state_dir == "none") {
      put({Verdict::ok, "state", "runs are noted in memory only"});
      return;
    }
    const Verdict bad = settings.require_state ? Verdict::fault : Verdict::warning;
    const auto folder = state_directory(settings.state_dir, surroundings_.environment);
    if (!folder.has_value()) {
      put({bad, "state", "there is no home folder for it",
           "name a folder in STATE_DIR, or write STATE_DIR=none"});
      return;
    }
    const std::string fault = fault_of_writing(*folder);
    if (fault.empty()) {
      put({Verdict::ok, "state", fmt::format("runs are noted in {}", folder->string())});
    } else {
      put({bad, "state", fmt::format("runs cannot be noted in {}: {}", folder->string(), fault),
           state_mend});
    }
  }

  void check_models(const std::vector<CatalogModel>& models, Documents& documents) {
    std::vector<Documents::Wanted> wanted;
    for (const CatalogModel& model : models) {
      wanted.push_back({model.name, model.endpoint});
      if (model.edit_endpoint.has_value()) wanted.push_back({model.name, *model.edit_endpoint});
      if (model.remix_endpoint.has_value()) wanted.push_back({model.name, *model.remix_endpoint});
    }
    const std::vector<Documents::Profile> profiles = documents.fetch(wanted);
    auto next = profiles.begin();
    for (const CatalogModel& model : models) {
      const Documents::Profile& own = *next++;
      check_document(model, "", own);
      std::vector<const Documents::Profile*> of_model{&own};
      if (model.edit_endpoint.has_value()) {
        of_model.push_back(&*next++);
        check_document(model, "edits", *of_model.back());
      }
      if (model.remix_endpoint.has_value()) {
        of_model.push_back(&*next++);
        check_document(model, "remixes", *of_model.back());
      }
      check_fields(model, "defaults", model.settings.defaults, of_model);
      check_fields(model, "overrides", model.settings.overrides, of_model);
      check_taught(model, of_model);
      check_access(model);
    }
  }

  // `use`: what the endpoint serves; empty: all that no other one does.
  void check_document(const CatalogModel& model, std::string_view use,
                      const Documents::Profile& document) {
    const std::string what =
        use.empty() ? "model " + model.name : fmt::format("model {} ({})", model.name, use);
    if (!document) {
      const bool pinned = use.empty() && !model.settings.schema.empty();
      put({Verdict::fault, what, document.error().message,
           pinned
               ? "mend the file that MODELS_FILE names as its schema"
               : "see that its id in SUPPORTED_MODELS is right, and that FAL_SCHEMA_URL answers"});
      return;
    }
    const profile::Profile& profile = **document;
    const profile::Summary summary = profile::describe(profile);
    put({Verdict::ok, what,
         fmt::format("{}: {}, {}", summary.endpoint, summary.category,
                     profile.makes == Medium::image
                         ? fmt::format("{}, up to {} a job", size_words(summary),
                                       count_of(static_cast<std::size_t>(summary.max_n), "image"))
                         : fmt::format("makes {}", profile.makes ? name_of(*profile.makes)
                                                                 : "nothing that is known"))});
    if (!is_served(profile.makes)) {
      put({Verdict::warning, what, "its document promises nothing that can be answered",
           "choose an endpoint that makes pictures, videos, sounds or text"});
    }
    if (use == "edits" && !summary.takes_images) {
      put({Verdict::fault, what, "its document takes no image",
           "name an endpoint that edits, or none"});
    }
    const bool remixes = std::ranges::any_of(profile.media, [](const profile::MediaInput& input) {
      return input.medium == Medium::video;
    });
    if (use == "remixes" && !remixes) {
      put({Verdict::fault, what, "its document takes no video",
           "name an endpoint that makes videos of videos, or none"});
    }
  }

  void check_taught(const CatalogModel& model,
                    const std::vector<const Documents::Profile*>& documents) {
    for (const auto& taught : model.settings.taught.inputs) {
      const std::string& name = taught.second;
      const bool known = std::ranges::any_of(documents, [&](const Documents::Profile* document) {
        return !*document || (**document)->schema->input(name) != nullptr;
      });
      if (known) continue;
      put({Verdict::warning, fmt::format("model {}", model.name),
           fmt::format("inputs: the model has no input '{}'", name),
           fmt::format("name in MODELS_FILE what it calls the {}", taught.first)});
    }
  }

  // Both endpoints of a model share its settings: a field that one of them has is known.
  void check_fields(const CatalogModel& model, std::string_view key,
                    const std::vector<std::pair<std::string, Json>>& fields,
                    const std::vector<const Documents::Profile*>& documents) {
    const std::string what = fmt::format("model {}", model.name);
    for (const auto& [name, value] : fields) {
      bool known = false;
      std::vector<std::string_view> names;
      for (const Documents::Profile* document : documents) {
        if (!*document) {
          known = true;  // as far as can be told
          continue;
        }
        for (const schema::Field& input : (**document)->schema->inputs) names.push_back(input.name);
        const schema::Field* const field = (**document)->schema->input(name);
        if (field == nullptr) continue;
        known = true;
        if (const std::optional<Error> error = schema::check(*field, value, name)) {
          put({Verdict::fault, what, fmt::format("{}: {}", key, error->message),
               "mend it in MODELS_FILE"});
        }
      }
      if (known) continue;
      const std::string_view near = nearest(name, names);
      put({Verdict::warning, what, fmt::format("{}: the model has no input '{}'", key, name),
           near.empty() ? "leave it out of MODELS_FILE" : fmt::format("did you mean '{}'?", near)});
    }
  }

  void check_access(const CatalogModel& model) {
    if (model.settings.fal.output_access.value_or(OutputAccess::allow) == OutputAccess::allow)
      return;
    put({Verdict::warning, fmt::format("model {}", model.name),
         "output_access: clients cannot open the addresses of its pictures, and base64 is answered "
         "only if the model sends pictures in its result",
         "sign the addresses with your fal account yourself, or write \"allow\" in MODELS_FILE"});
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
        const Verdict state = verdict.usable == KeyVerdict::Usable::yes  ? Verdict::ok
                              : verdict.usable == KeyVerdict::Usable::no ? Verdict::fault
                                                                         : Verdict::warning;
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
  show(line, surroundings, check.json(), check.text());
  return check.count(Verdict::fault) == 0 ? ExitStatus::done : ExitStatus::fault;
}

}  // namespace falproxy::app
