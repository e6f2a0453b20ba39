// What the pure way of a request costs, on real documents: analyse, make_plan, and back to OpenAI's
// answer. The last line sets make_plan against the time that nlohmann takes to parse flux/dev's
// document in the same run: a tenth of it is the most that it may be, and the exit status says
// whether it is.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "falproxy/openai.hpp"
#include "falproxy/plan.hpp"
#include "falproxy/profile.hpp"
#include "falproxy/test_doubles.hpp"
#include "support/shared_documents.hpp"

namespace {

using namespace falproxy;

constexpr const char* baseline = "parse by nlohmann/flux/dev";
constexpr const char* measured = "make_plan, plain/flux/dev";

std::string document(const std::string& name) {
  std::ifstream file(shared_documents::folder() / (name + ".json"), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Wish request_of(const char* body) {
  const testing::PlainCodecs codecs;
  return *openai::parse_json(Intent::generation, body, {}, codecs);
}

const char* const plain_request =
    R"({"model":"flux","prompt":"A lighthouse at dusk, oil on canvas","size":"1024x1792","n":1})";
const char* const full_request =
    R"({"model":"flux","prompt":"A lighthouse at dusk, oil on canvas","size":"1000x1777","n":4,"quality":"high","style":"vivid",
        "output_format":"webp","output_compression":80,"background":"opaque","moderation":"low","user":"u-1","seed":42,
        "guidance_scale":4.5,"num_inference_steps":30,"response_format":"b64_json","unheard_of":true})";

const char* const fal_result =
    R"({"images":[{"url":"https://v3.fal.media/files/zebra/abc.png","width":1024,"height":1792,"content_type":"image/png"},
                  {"url":"https://v3.fal.media/files/zebra/abd.png","width":1024,"height":1792,"content_type":"image/png"}],
        "timings":{"inference":1.2345},"seed":42,"has_nsfw_concepts":[false,false],"prompt":"A lighthouse at dusk, oil on canvas"})";

void parse(benchmark::State& state, const std::string& text) {
  for (auto _ : state) benchmark::DoNotOptimize(nlohmann::json::parse(text));
}

void analyze(benchmark::State& state, const std::string& text) {
  for (auto _ : state) benchmark::DoNotOptimize(profile::read_profile(text));
}

void make_plan(benchmark::State& state, const std::string& text, const char* body) {
  const auto model = profile::read_profile(text);
  const Wish request = request_of(body);
  for (auto _ : state) {
    const auto plan = plan::make_plan(request, **model, {}, {});
    benchmark::DoNotOptimize(plan);
  }
}

void to_body(benchmark::State& state, const std::string& text, const char* body) {
  const auto model = profile::read_profile(text);
  const Wish request = request_of(body);
  for (auto _ : state) {
    const auto plan = plan::make_plan(request, **model, {}, {});
    benchmark::DoNotOptimize(plan::render(plan->jobs.front(), {}, {}));
  }
}

void to_openai(benchmark::State& state, const std::string& text) {
  const auto model = profile::read_profile(text);
  const auto plan = plan::make_plan(request_of(R"({"prompt":"x","n":2})"), **model, {}, {});
  const auto body = std::make_shared<const std::string>(fal_result);
  for (auto _ : state) {
    auto result = plan::read_result(body);
    std::vector<plan::Note> notes;
    plan::Selection selection(*plan, {});
    const std::vector<plan::ResultFile> images = selection.take(*std::move(result));
    selection.tell(notes, images.size(), {});
    std::vector<Product> products;
    for (const plan::ResultFile& image : images) products.push_back({.content = image.url});
    benchmark::DoNotOptimize(openai::write(openai::image_response(std::move(products))));
  }
}

// Shows each figure as it comes, and keeps it.
class Figures final : public benchmark::ConsoleReporter {
 public:
  Figures() : ConsoleReporter(OO_Tabular) {}
  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) microseconds_[run.benchmark_name()] = run.GetAdjustedCPUTime();
  }
  [[nodiscard]] double of(const std::string& name) const {
    const auto found = microseconds_.find(name);
    return found == microseconds_.end() ? 0 : found->second;
  }

 private:
  std::map<std::string, double> microseconds_;
};

template <class F>
void add(const std::string& name, F&& run) {
  benchmark::RegisterBenchmark(name.c_str(), std::forward<F>(run))->Unit(benchmark::kMicrosecond);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const std::string flux = document("fal-ai__flux__dev");
  if (flux.empty()) {
    std::cout << "skipped: no documents in " << shared_documents::folder() << "\n";
    return 0;
  }
  add(baseline, [=](benchmark::State& state) { parse(state, flux); });
  for (const char* name : {"fal-ai__flux__dev", "fal-ai__recraft__v3__text-to-image",
                           "fal-ai__ideogram__v3", "fal-ai__lora"}) {
    const std::string text = document(name);
    std::string id = std::string(name).substr(8);
    for (std::size_t at = id.find("__"); at != std::string::npos; at = id.find("__"))
      id.replace(at, 2, "/");
    add("analyze/" + id, [=](benchmark::State& state) { analyze(state, text); });
    // fal-ai/lora requires a model_name, which no plain request has: it measures the refusal.
    add("make_plan, plain/" + id,
        [=](benchmark::State& state) { make_plan(state, text, plain_request); });
    add("make_plan, everything/" + id,
        [=](benchmark::State& state) { make_plan(state, text, full_request); });
  }
  add("make_plan and body, plain/flux/dev",
      [=](benchmark::State& state) { to_body(state, flux, plain_request); });
  add("result to OpenAI's answer/flux/dev",
      [=](benchmark::State& state) { to_openai(state, flux); });

  Figures figures;
  benchmark::RunSpecifiedBenchmarks(&figures);
  const double whole = figures.of(baseline);
  const double part = figures.of(measured);
  if (whole == 0 || part == 0) return 0;  // a filter left one of them out
  std::cout << fmt::format(
      "make_plan takes {:.2f} us, {:.1f}% of the {:.1f} us that parsing flux/dev's document "
      "takes\n",
      part, 100 * part / whole, whole);
  return part * 10 <= whole ? 0 : 1;
}
