import { Select, SimpleGrid } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { rolesQuery } from '../api/queries';
import { fieldError } from '../components/fieldError';
import { Unread } from '../components/Unread';
import { KeyDialog } from './KeyDialog';
import { useMayOnServer } from './useMayOnServer';

/** A key that belongs to nobody, for a program. */
export function NewKeyDialog({ project, onClose }: { project: string; onClose: () => void }) {
  const mayEverywhere = useMayOnServer('admin:manage_users');
  const roles = useQuery(rolesQuery);
  const [role, setRole] = useState('inference');
  const [where, setWhere] = useState<'project' | 'all'>('project');
  return (
    <KeyDialog
      title="Generate new API key"
      about={mayEverywhere ? undefined : `It works in the project ${project} only.`}
      advice="Copy it now."
      nameDescription="What will use it, so that you know later what stops when you revoke it"
      rights={() => ({ role, ...(where === 'project' ? { project } : {}) })}
      fields={['role']}
      onClose={onClose}
    >
      {(ends, error) => (
        <>
          <Select
            label="Role"
            description="Applications use inference: it asks models, and cannot read what others asked"
            data={roles.data?.map((found) => ({ value: found.key, label: found.name })) ?? [role]}
            value={role}
            onChange={(value) => value && setRole(value)}
            allowDeselect={false}
            error={fieldError(error, 'role')}
          />
          <Unread queries={{ Roles: roles }} />
          <SimpleGrid cols={{ base: 1, xs: 2 }}>
            {mayEverywhere && (
              <Select
                label="Where"
                allowDeselect={false}
                data={[
                  { value: 'project', label: `Project ${project}` },
                  { value: 'all', label: 'All projects, and the server' },
                ]}
                value={where}
                onChange={(value) => setWhere(value as typeof where)}
              />
            )}
            {ends}
          </SimpleGrid>
        </>
      )}
    </KeyDialog>
  );
}
