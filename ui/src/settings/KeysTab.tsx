import { Badge, Button, Group, Stack, Switch, Table, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconKey, IconPlus } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../api/client';
import { keysQuery } from '../api/queries';
import { ConfirmDialog } from '../components/ConfirmDialog';
import { EmptyState } from '../components/EmptyState';
import { onDay } from '../components/format';
import { Loaded } from '../components/Loaded';
import { DataTable } from '../components/Page';
import { NewKeyDialog } from '../shell/NewKeyDialog';
import { useMay, useMe } from '../shell/useProject';
import { LimitsDialog } from './LimitsDialog';
import { limitsText } from './limits';
import type { ApiKey } from './queries';

/** The keys that this one may see, and what they are for. */
export function KeysTab({ project }: { project: string }) {
  const client = useQueryClient();
  const me = useMe();
  const mayCreate = useMay('project:share');
  const query = useQuery(keysQuery);
  const [all, setAll] = useState(false);
  const [creating, dialog] = useDisclosure(false);
  const [limiting, setLimiting] = useState<ApiKey | null>(null);
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  const changed = () => client.invalidateQueries({ queryKey: keysQuery.queryKey });
  const revoke = async () => {
    await api.DELETE('/api/v1/keys/{key}', { params: { path: { key: revoking!.id } } });
    await changed();
  };
  return (
    <Stack>
      <Group justify="space-between">
        <Switch
          label="Show ended keys too"
          checked={all}
          onChange={(event) => setAll(event.currentTarget.checked)}
        />
        {mayCreate && (
          <Button size="xs" leftSection={<IconPlus size={15} />} onClick={dialog.open}>
            Create API key
          </Button>
        )}
      </Group>
      <Loaded query={query} failed="API keys could not be read">
        {(keys) => {
          const shown = keys.filter((key) => all || isValid(key));
          return shown.length === 0 ? (
            <EmptyState icon={IconKey} title="No key to be seen">
              Applications sign in with keys. Create one with the role <code>inference</code> for each, so
              that you know what stops when you revoke it.
            </EmptyState>
          ) : (
            <DataTable label="API keys" head={['Name', 'May do', 'Where', 'Limits', 'Created', 'Ends', '']}>
              {shown.map((key) => (
                <Table.Tr key={key.id}>
                  <Table.Td>
                    <Text size="sm" fw={500}>
                      {key.name}
                    </Text>
                    <Text size="xs" c="dimmed">
                      {key.id}
                      {key.id === me.key && ', the one you signed in with'}
                    </Text>
                  </Table.Td>
                  <Table.Td>{key.role ?? `what ${key.user} may`}</Table.Td>
                  <Table.Td>{key.project ?? 'all projects'}</Table.Td>
                  <Table.Td>{limitsText(key.limits) || 'none of its own'}</Table.Td>
                  <Table.Td style={{ whiteSpace: 'nowrap' }}>{onDay(key.created_at)}</Table.Td>
                  <Table.Td>
                    {key.revoked_at ? (
                      <Badge color="gray.6" variant="dot" tt="none">
                        revoked {onDay(key.revoked_at)}
                      </Badge>
                    ) : (
                      <Text size="sm">{key.expires_at ? onDay(key.expires_at) : 'never'}</Text>
                    )}
                  </Table.Td>
                  <Table.Td>
                    {isValid(key) && mayCreate && key.id !== me.key && (
                      <Button
                        size="compact-xs"
                        variant="subtle"
                        aria-label={`Limits of ${key.name}`}
                        onClick={() => setLimiting(key)}
                      >
                        Limits
                      </Button>
                    )}
                    {isValid(key) && (
                      <Button
                        size="compact-xs"
                        variant="subtle"
                        color="red"
                        aria-label={`Revoke ${key.name}`}
                        onClick={() => setRevoking(key)}
                      >
                        Revoke
                      </Button>
                    )}
                  </Table.Td>
                </Table.Tr>
              ))}
            </DataTable>
          );
        }}
      </Loaded>
      {creating && <NewKeyDialog project={project} onClose={dialog.close} />}
      {limiting && <LimitsDialog apiKey={limiting} onClose={() => setLimiting(null)} onSaved={changed} />}
      <ConfirmDialog
        title={`Revoke ${revoking?.name ?? 'key'}`}
        confirm="Revoke"
        opened={revoking !== null}
        onClose={() => setRevoking(null)}
        onConfirm={revoke}
      >
        {revoking?.id === me.key ? 'You are signed in with this key, and will be signed out. ' : ''}
        Requests with it are refused within 5 seconds. This cannot be undone; make a new key instead.
      </ConfirmDialog>
    </Stack>
  );
}

const isValid = (key: ApiKey) =>
  !key.revoked_at && (!key.expires_at || Date.parse(key.expires_at) > Date.now());
