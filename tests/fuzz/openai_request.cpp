// Input: the body of an image request as JSON; or, after a first line "form", parts of a form, each
// a line `name|file name|content type|text`.
#include <memory>
#include <string>

#include "base/text.hpp"
#include "falproxy/openai.hpp"
#include "json/access.hpp"
#include "law.hpp"
#include "support/virtual_time.hpp"

using namespace falproxy;
using namespace falproxy::openai;
using fuzz::hold;

namespace {

void check_request(const ImageRequest& request, const RequestLimits& limits) {
  hold(!request.n || (*request.n >= 1 && *request.n <= limits.max_images),
       "n is within its limits");
  hold(!request.partial_images || (*request.partial_images >= 0 && *request.partial_images <= 3),
       "partial_images is 0 to 3");
  hold(!request.output_compression ||
           (*request.output_compression >= 0 && *request.output_compression <= 100),
       "compression is 0 to 100");
  hold(request.images.size() <= limits.max_input_images, "no more pictures than may be");
  if (request.size.kind == SizeWish::Kind::pixels || request.size.kind == SizeWish::Kind::ratio) {
    hold(request.size.width > 0 && request.size.height > 0, "a size has two sides");
  }
  std::string last;
  for (const auto& [name, value] : request.native) {
    hold(last.empty() || last < name, "native fields stand in order, each once");
    hold(!value.is_null(), "null is absent");
    for (const char* known : {"prompt", "model", "n", "size", "quality", "response_format",
                              "images", "image", "mask", "user", "stream"}) {
      hold(name != known, "a field of OpenAI's is not native");
    }
    last = name;
  }
  for (const ImageInput& image : request.images)
    hold(image.url.empty() != image.bytes.empty(), "a picture is an address or bytes");
}

void check_error(const Error& error) {
  const std::string body = write_error(error, "model");
  const auto json = Json::parse(body);
  hold(json.has_value(), "an error is written as JSON");
  const auto inner = json->find("error");
  hold(inner && inner->find("message") && inner->find("message")->as_string() &&
           inner->find("type") && inner->find("code") && inner->find("param"),
       "an error has message, type, param and code");
  hold(!error.message.empty(), "an error has words");
  const int status = openai::describe(error.kind).status;
  hold(status >= 400 && status < 500, "what a client sends wrong is a 4xx");
}

std::vector<FormPart> form(std::string_view lines) {
  std::vector<FormPart> parts;
  for_each_part(lines, '\n', [&](std::string_view line) {
    std::vector<std::string> cells;
    for_each_part(line, '|', [&](std::string_view cell) { cells.emplace_back(cell); });
    cells.resize(4);
    FormPart part;
    part.name = cells[0];
    if (!cells[1].empty()) part.file_name = cells[1];
    part.content_type = cells[2];
    const auto owner = std::make_shared<const std::string>(cells[3]);
    part.owner = owner;
    part.bytes = *owner;
    parts.push_back(part);
  });
  return parts;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const testing::PlainCodecs codecs;
  std::string_view input = fuzz::text(data, size);
  const RequestLimits limits;
  constexpr std::string_view form_line = "form\n";
  for (const auto operation :
       {ImageOperation::generation, ImageOperation::edit, ImageOperation::variation}) {
    Result<ImageRequest> request = Error{};
    if (input.starts_with(form_line)) {
      request = parse_form(operation, form(input.substr(form_line.size())), limits, codecs);
    } else {
      request = parse_json(operation, input, limits, codecs);
    }
    if (request) {
      check_request(*request, limits);
    } else {
      check_error(request.error());
    }
  }
  return 0;
}
