// Maps an OpenAI request onto a fal model, without any network: translate_only PROMPT <
// DOCUMENT.json
#include <falproxy/falproxy.hpp>
#include <iostream>
#include <iterator>
#include <string>

int main(int argc, char** argv) {
  const std::string document{std::istreambuf_iterator<char>(std::cin), {}};
  const auto schema = falproxy::schema::analyze(document);
  if (!schema) return std::cerr << schema.error().message << '\n', 1;
  falproxy::openai::ImageRequest request;
  request.prompt = argc > 1 ? argv[1] : "a lighthouse at dusk";
  request.size = {falproxy::openai::SizeWish::Kind::pixels, 1024, 768};
  const auto plan = falproxy::translate::to_fal(request, *schema, {}, {});
  if (!plan) return std::cerr << plan.error().message << '\n', 1;
  std::cout << plan->jobs.front().input.dump(2) << '\n';
}
