// A unit test of a mapping: mapping_test DOCUMENT.json
//
// Any test framework will do: what is compared are strings and values that print. It needs nothing
// but `falproxy::testing`.
#include <falproxy/test_mapping.hpp>
#include <fstream>
#include <iostream>
#include <iterator>

int failed = 0;
void check(const auto& seen, const auto& expected) {
  if (seen == expected) return;
  ++failed;
  std::cerr << "expected: " << expected << "\nseen:     " << seen << '\n';
}

int main(int argc, char** argv) {
  if (argc != 2) return std::cerr << "usage: mapping_test DOCUMENT.json\n", 2;
  std::ifstream file(argv[1]);
  falproxy::testing::Mapping m(std::string{std::istreambuf_iterator<char>(file), {}});
  check(m.json(R"({"prompt":"x","size":"1536x1024"})"),
        R"({"image_size":{"height":1024,"width":1536},"num_images":1,"prompt":"x"})");
  check(m.notes().size(), 0u);
  m.json(R"({"prompt":"x","size":"huge"})");
  check(m.error().value(), falproxy::Error{falproxy::ErrorKind::invalid_value, {}, "size"});
  if (failed == 0) std::cout << "the mapping is right\n";
  return failed;
}
