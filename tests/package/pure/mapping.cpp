// What a request becomes, with the pure library alone: mapping < DOCUMENT.json
#include <falproxy/falproxy.hpp>
#include <iostream>
#include <iterator>
#include <string>

int main() {
  const std::string document{std::istreambuf_iterator<char>(std::cin), {}};
  const auto profile = falproxy::profile::read_profile(document);
  const auto request = falproxy::openai::parse_json(falproxy::Intent::generation,
                                                    R"({"prompt":"x","size":"1536x1024"})", {},
                                                    falproxy::PlainCodecs());
  const auto plan = falproxy::plan::make_plan(request.value(), *profile.value(), {}, {});
  std::cout << plan.value().jobs.front().input << '\n';
}
