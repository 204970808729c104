'use strict';

// The four demo users that a server with the embedded database makes at its first start. Ids and names are fixed.
const USERS = {
  customer: {
    id: '00000000-0000-4000-8000-000000000001',
    email: 'customer@souk.example',
    displayName: 'Carla Customer',
    role: 'customer',
  },
  seller: {
    id: '00000000-0000-4000-8000-000000000002',
    email: 'seller@souk.example',
    displayName: 'Sami Seller',
    role: 'seller',
  },
  admin: {
    id: '00000000-0000-4000-8000-000000000003',
    email: 'admin@souk.example',
    displayName: 'Ada Admin',
    role: 'admin',
  },
  manager: {
    id: '00000000-0000-4000-8000-000000000004',
    email: 'manager@souk.example',
    displayName: 'Max Manager',
    role: 'manager',
  },
};

// Valid in form, nobody's in fact.
const NOBODY = '00000000-0000-4000-8000-0000000000ff';

module.exports = { USERS, NOBODY };
