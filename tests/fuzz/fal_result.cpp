// Input: what a fal job brought; then n.
#include <memory>
#include <string>

#include "falproxy/fal.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/plan.hpp"
#include "law.hpp"

using namespace falproxy;
using fuzz::hold;

namespace {

void check_fault(std::string_view body) {
  for (const int status : {400, 401, 402, 403, 404, 422, 429, 500, 502, 504}) {
    const fal::Fault fault = fal::read_fault(HttpHead{status, {}}, body);
    hold(fault.status == status, "a fault keeps its status");
    hold(fault.message.size() <= 500, "fal's words are cut short");
  }
  if (const auto status = fal::parse_status(body)) {
    if (status->error) (void)fal::read_fault(*status);
    hold(!status->queue_position || *status->queue_position >= 0,
         "a position in the queue is not negative");
  }
  const auto endpoint = fal::EndpointId::parse("fal-ai/flux/dev");
  if (const auto submitted = fal::parse_submitted(body, *endpoint, "https://queue.fal.run")) {
    for (const std::string& url :
         {submitted->status_url, submitted->response_url, submitted->cancel_url}) {
      hold(fal::is_of_queue(url, *Url::parse("https://queue.fal.run")),
           "a key goes to the queue only");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto parts = fuzz::parts(fuzz::text(data, size), 2);
  check_fault(parts[0]);
  const auto body = std::make_shared<const std::string>(parts[0]);
  const auto result = plan::read_result(body);
  if (!result) {
    hold(result.error().kind == ErrorKind::upstream_failed ||
             result.error().kind == ErrorKind::no_image,
         "a result is refused as fal's fault");
    return 0;
  }
  hold(!result->images.empty(), "a result has a picture");
  for (const plan::ResultFile& image : result->images) {
    hold(!image.url.empty() || image.svg.has_value(), "a picture has an address or is svg");
    hold(plan::base64_of(image).has_value() <= image.is_data_uri, "only a data URI holds base64");
  }

  plan::Plan plan;
  plan.n = static_cast<int>(parts[1].size() % 10) + 1;
  plan.jobs.resize(2);
  for (const NsfwResults policy : {NsfwResults::leave_out, NsfwResults::pass}) {
    plan::Options options;
    options.nsfw_results = policy;
    std::vector<plan::Note> notes;
    plan::Selection selection(plan, options);
    std::vector<plan::ResultFile> images;
    for (int job = 0; job < 2; ++job) {
      for (plan::ResultFile& image : selection.take(*result)) images.push_back(image);
    }
    if (images.empty()) {
      hold(selection.nothing().kind == ErrorKind::content_policy, "a refusal says why");
      continue;
    }
    hold(images.size() <= static_cast<std::size_t>(plan.n), "no more pictures than were asked for");
    selection.tell(notes, images.size(), {std::string(parts[1])});
    std::vector<Product> products;
    for (const plan::ResultFile& image : images) products.push_back({.content = image.url});
    const auto written =
        Json::parse(openai::write(openai::image_response(std::move(products))).str());
    hold(written.has_value(), "an answer is JSON");
    hold(written->find("data")->size() == images.size(), "every picture is answered");
  }
  return 0;
}
