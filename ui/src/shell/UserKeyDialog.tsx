import { Select, SimpleGrid } from '@mantine/core';
import { useState } from 'react';
import type { Schemas } from '../api/client';
import { fieldError } from '../components/fieldError';
import { KeyDialog } from './KeyDialog';
import { CHANGEOVERS, inDays } from './keyEnds';

const PREVIOUS = 'expiration_for_previous_keys';

/** Another key of a person or a service account, in place of the earlier ones. */
export function UserKeyDialog({ user, onClose }: { user: Schemas['User']; onClose: () => void }) {
  const [changeover, setChangeover] = useState('1');
  return (
    <KeyDialog
      title={`New API key of ${user.name}`}
      about={`It may do what ${user.email} may, at any time. Who is signed in with an earlier key has to sign in anew when that ends.`}
      advice="Copy it now, or hand it over safely."
      name={user.name}
      rights={() => ({ user: user.id, ...(changeover ? { [PREVIOUS]: inDays(changeover) } : {}) })}
      fields={[PREVIOUS]}
      onClose={onClose}
    >
      {(ends, error) => (
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          {ends}
          <Select
            label="Earlier keys end"
            allowDeselect={false}
            data={CHANGEOVERS}
            value={changeover}
            onChange={(value) => setChangeover(value!)}
            error={fieldError(error, PREVIOUS)}
          />
        </SimpleGrid>
      )}
    </KeyDialog>
  );
}
