#include <falproxy/sqlite_store.hpp>
#include <iostream>

// Makes a store in the folder that it is given.
int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const auto store = falproxy::SqliteStore::open({.folder = argv[1]});
  if (!store) return std::cerr << store.error() << '\n', 1;
  std::cout << (*store)->status().name << '\n';
}
