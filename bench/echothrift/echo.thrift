namespace go echothrift

struct Item {
  1: i64 id
  2: string name
  3: list<string> tags
  4: binary data
}

service Echo {
  Item Echo(1: Item item)
}
