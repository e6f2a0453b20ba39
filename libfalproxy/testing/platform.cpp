#include "platform.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "tariff.hpp"

namespace falproxy::inline v0::testing {
namespace {

using nlohmann::json;

constexpr std::size_t most_ids = 50, most_requests = 100;

// %XX is one byte.
std::string decoded(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%' || i + 2 >= text.size()) {
      plain += text[i];
      continue;
    }
    plain += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
    i += 2;
  }
  return plain;
}

std::vector<std::string> values_of(std::string_view query, std::string_view name) {
  std::vector<std::string> values;
  while (!query.empty()) {
    const std::string_view one = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(one.size() + 1, query.size()));
    if (one.starts_with(name) && one.substr(name.size()).starts_with('='))
      values.push_back(decoded(one.substr(name.size() + 1)));
  }
  return values;
}

}  // namespace

bool Platform::serve(const Visit& visit) {
  switch (visit.route.step) {
    case Step::pricing:
      prices(visit);
      return true;
    case Step::models:
      models(visit);
      return true;
    case Step::estimate:
      estimate(visit);
      return true;
    case Step::bills:
      if (is_admin(visit)) bills(visit);
      return true;
    case Step::balance:
      if (is_admin(visit)) balance(visit);
      return true;
    case Step::history:
      history(visit);
      return true;
    case Step::forget:
      if (is_admin(visit)) forget(visit);
      return true;
    default:
      return false;
  }
}

bool Platform::is_admin(const Visit& visit) {
  if (visit.key.starts_with("admin")) return true;
  refuse(visit, 403, "authorization_error", "This key has not the scope ADMIN");
  return false;
}

void Platform::answer(const Visit& visit, const json& body) {
  answers_.reply(visit.exchange, DeskReply{.headers = {{"content-type", "application/json"}},
                                           .body = Body(body.dump())});
}

void Platform::refuse(const Visit& visit, int status, const char* type, const char* message) {
  answers_.json(visit.exchange, status, {{"error", {{"type", type}, {"message", message}}}}, {});
}

void Platform::prices(const Visit& visit) {
  json rows = json::array();
  for (const std::string& id : values_of(visit.request.query, "endpoint_id")) {
    const Model* model = models_.find(id);
    if (model == nullptr) continue;
    const Tariff& tariff = tariff_of(*model);
    rows.push_back({{"endpoint_id", id},
                    {"unit_price", tariff.price},
                    {"unit", tariff.unit},
                    {"currency", "USD"}});
  }
  answer(visit, {{"prices", rows}, {"next_cursor", nullptr}, {"has_more", false}});
}

// As many as `limit` says, of one category; there is no second page.
void Platform::models(const Visit& visit) {
  const std::string category = visit.request.parameter("category").value_or("");
  const std::size_t limit =
      std::strtoul(visit.request.parameter("limit").value_or("50").c_str(), nullptr, 10);
  json rows = json::array();
  bool has_more = false;
  for (const auto& [endpoint, model] : models_.all()) {
    const json document = json::parse(model.text().str(), nullptr, false);
    const json about = document["info"].value("x-fal-metadata", json::object());
    if (!category.empty() && about.value("category", "") != category) continue;
    has_more = rows.size() == limit;
    if (has_more) break;
    rows.push_back({{"endpoint_id", endpoint},
                    {"metadata",
                     {{"display_name", endpoint.substr(endpoint.find('/') + 1)},
                      {"category", about.value("category", "")},
                      {"description", "A model of falsim's."},
                      {"status", "active"}}}});
  }
  answer(visit, {{"models", rows}, {"next_cursor", nullptr}, {"has_more", has_more}});
}

void Platform::estimate(const Visit& visit) {
  const json asked = json::parse(visit.request.body, nullptr, false);
  if (!asked.is_object() || asked.value("estimate_type", "") != "historical_api_price" ||
      !asked.contains("endpoints"))
    return refuse(visit, 400, "validation_error", "estimate_type and endpoints are needed");
  double total = 0;
  for (const auto& [id, wanted] : asked["endpoints"].items()) {
    const Model* model = models_.find(id);
    if (model == nullptr) return refuse(visit, 404, "not_found", "There is no such endpoint");
    total += tariff_of(*model).usual_cost() * wanted.value("call_quantity", 1);
  }
  answer(visit,
         {{"estimate_type", "historical_api_price"}, {"total_cost", total}, {"currency", "USD"}});
}

json Platform::bill_of(const Job& job) const {
  const Tariff& tariff = tariff_of(*job.model);
  const double units = desk_.units_of(job);
  const double subtotal = units * tariff.price;
  const double total = subtotal * (100 - options_.percent_discount) / 100;
  return {{"request_id", job.id},
          {"endpoint_id", job.model->endpoint()},
          {"output_units", units},
          {"unit_price", tariff.price},
          {"percent_discount", options_.percent_discount},
          {"cost_subtotal", subtotal},
          {"cost_discount", subtotal - total},
          {"cost_total", total},
          {"cost_estimate_nano_usd", std::llround(total * 1e9)}};
}

void Platform::bills(const Visit& visit) {
  const std::vector<std::string> ids = values_of(visit.request.query, "request_id");
  if (ids.size() > most_ids)
    return refuse(visit, 400, "validation_error", "50 ids at most can be asked for");
  json events = json::array();
  for (const std::string& id : ids) {
    const std::shared_ptr<Job> job = desk_.find(id);
    const bool is_billed = job != nullptr && job->state == JobState::completed && !job->cancelled &&
                           job->outcome->status < 400 && job->outcome->error.empty();
    if (is_billed) events.push_back(bill_of(*job));
  }
  answer(visit, {{"billing_events", events}, {"next_cursor", nullptr}, {"has_more", false}});
}

void Platform::balance(const Visit& visit) {
  answer(visit, {{"username", "falsim"},
                 {"credits", {{"current_balance", options_.balance}, {"currency", "USD"}}}});
}

void Platform::history(const Visit& visit) {
  const std::vector<std::string> ids = values_of(visit.request.query, "endpoint_id");
  if (ids.empty()) return refuse(visit, 400, "validation_error", "endpoint_id is needed");
  const bool payloads = visit.request.parameter("expand") == "payloads";
  json items = json::array();
  const auto& all = desk_.submits();
  for (auto seen = all.rbegin(); seen != all.rend() && items.size() < most_requests; ++seen) {
    if (seen->endpoint != ids.front() || seen->key != visit.key || seen->request_id.empty())
      continue;
    json item = {{"request_id", seen->request_id}, {"endpoint_id", seen->endpoint}};
    if (payloads) item["json_input"] = json::parse(seen->input, nullptr, false);
    items.push_back(std::move(item));
  }
  answer(visit, {{"items", items}, {"next_cursor", nullptr}, {"has_more", false}});
}

void Platform::forget(const Visit& visit) {
  const std::string id(visit.route.request_id);
  if (!desk_.forget(id)) return refuse(visit, 404, "not_found", "There is no such request");
  storage_.forget(id);
  stats_.forgotten.push_back(id);
  answer(visit, {{"cdn_delete_results", json::array()}});
}

}  // namespace falproxy::inline v0::testing
